-- Read operations. meta: the ids.
local answer = {}
for i, id in ipairs(meta) do answer[i] = fields(id) end
return told(answer)
