-- Read epochs and versions. meta: the ids.
local answer = {}
for i, id in ipairs(meta) do
  local found = call('HMGET', P .. 'o:' .. id, 'e', 'v')
  answer[i] = found[1] and found
end
return told(answer)
