-- A: user, since, limit. Returns the events after it, each with its notification.
local found = call('ZRANGEBYSCORE', P .. 'events:' .. A[1], '(' .. A[2], '+inf', 'LIMIT', 0, A[3])
local made = {}
for i, text in ipairs(found) do
  local note = cjson.decode(text)[5]
  local fields = note ~= cjson.null and record(note) or {}
  made[i] = {text, fields}
end
return made
