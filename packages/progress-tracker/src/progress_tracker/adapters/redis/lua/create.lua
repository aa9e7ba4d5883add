-- Store a new operation and count it in its ancestors.
-- meta: id, token, status, weight, units, created_at, ancestors, completed_at, stale_at, parent,
-- user, kind (false for none), then all fields, a name and a value in turn.
local id, token, status, weight, units = meta[1], meta[2], meta[3], meta[4], meta[5]
local at, ancestors, parent = meta[6], meta[7], meta[10]
local known = call('HGET', P .. 'o:' .. id, 't')
if known then return told({known == token and 'created' or 'exists', fields(id)}) end
if parent and call('EXISTS', P .. 'o:' .. parent) == 0 then return told({'no_parent', false}) end
local adds = {kw = weight, kt = 1}
if FINAL[status] then adds[FINAL[status]] = 1 end
local steps = climb(ancestors, adds, weight * units, at)
call('HSET', P .. 'o:' .. id, unpack(meta[13]))
climbed(steps)
call('ZADD', P .. 'all', at, id)
if parent then call('ZADD', P .. 'of:' .. parent, at, id) end
if meta[11] then call('ZADD', P .. 'user:' .. meta[11], at, id) end
if meta[12] then call('ZADD', P .. 'kind:' .. meta[12], at, id) end
placed(id, at, false, status, not parent, meta[8], meta[9])
local made = call('HMGET', P .. 'o:' .. id, 'v', 'e')
logged(id, made[1], made[2], status, units, at)
return told({'created', false})
