-- Read a part of an index, newest first. meta: the index, the highest created_at, how many of it to
-- pass over, how many to look at, how many to return, then user, parent, kind (false for any) and the
-- statuses. The answer: id and fields in turn, and how many were looked at; which of those with one
-- created_at come after a cursor is for the caller to say: Lua compares strings as the locale does.
local ids = call('ZREVRANGEBYSCORE', P .. meta[1], meta[2], '-inf', 'LIMIT', meta[3], meta[4])
local wanted, some = {}, false
for _, status in ipairs(meta[9]) do wanted[status], some = true, true end
local answer, looked = {}, 0
for _, id in ipairs(ids) do
  looked = looked + 1
  local found = call('HMGET', P .. 'o:' .. id, 'us', 'pa', 'ki', 's')
  if found[4] and (not meta[6] or found[1] == meta[6]) and (not meta[7] or found[2] == meta[7])
    and (not meta[8] or found[3] == meta[8]) and (not some or wanted[found[4]]) then
    answer[#answer + 1] = id
    answer[#answer + 1] = fields(id)
    if #answer / 2 >= meta[5] then break end
  end
end
return told({answer, looked})
