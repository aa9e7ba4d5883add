-- What every script begins with. KEYS[1] is the prefix in braces, so that all keys lie in one slot;
-- ARGV[1] is a msgpack array, the call's own.
--
-- o:ID   an operation, a hash: e epoch, v version, n revision, t token, s status, us user, pa parent,
--        up ancestors (a line each), ki kind, w weight, m metadata, at created, ua updated, c ended,
--        sa stale_after, x stale_at, wr writer, cr cancel_requested, st state as JSON, f format, u
--        units; pw pd ex ou what the own state adds up to; kw kd kt kc kf kx the children's sums
-- s:ID   its changes, a stream whose ids are 0-VERSION: e, s, u, at
-- all, user:ID, kind:KIND, of:PARENT, is:STATUS   who there is, by created_at
-- stale  what runs, by a moment before which it has not stalled; done, bad   ended roots, by end
-- bell   the channel that tells what changed: ids, a line each
local call = redis.call
local P = KEYS[1] .. ':'
local meta = cmsgpack.unpack(ARGV[1])
local WHOLE = 100000000
local FINAL = {completed = 'kc', failed = 'kf', cancelled = 'kx'}
local rung = {}

-- Sums go beyond 2^53, the last whole number of Lua: they are billions and a rest.
local function big(text)
  if #text <= 9 then return 0, tonumber(text) end
  return tonumber(string.sub(text, 1, -10)), tonumber(string.sub(text, -9))
end

local function plus(hi, lo, more)
  local billions = math.floor(more / 1e9)
  hi, lo = hi + billions, lo + more - billions * 1e9
  if lo >= 1e9 then return hi + 1, lo - 1e9 end
  return hi, lo
end

local function shown(hi, lo)
  if hi == 0 then return string.format('%.0f', lo) end
  return string.format('%.0f%09.0f', hi, lo)
end

local function quotient(hi, lo, by)
  if hi < 9007199 then return math.floor((hi * 1e9 + lo) / by) end
  local whole, rest = math.floor(hi / by), hi % by
  for place = 8, 0, -1 do
    rest = rest * 10 + math.floor(lo / 10 ^ place) % 10
    whole, rest = whole * 10 + math.floor(rest / by), rest % by
  end
  return whole
end

-- An operation's units (units_of in Python): by its own sums and its children's.
local function units_of(status, own, part_weight, part_done, expected, kids_weight, hi, lo)
  if status == 'completed' then return WHOLE end
  local weight = part_weight + kids_weight
  if weight == 0 then return own end
  local done_hi, done_lo = big(part_done)
  hi, lo = plus(hi + done_hi, lo, done_lo)
  if kids_weight > 0 and expected > weight then weight = expected end
  return quotient(hi, lo, weight)
end

local ALL = {
  'e', 'v', 'n', 't', 's', 'us', 'pa', 'up', 'ki', 'w', 'm', 'at', 'ua', 'c', 'sa', 'x', 'wr', 'cr',
  'st', 'kw', 'kd', 'kt', 'kc', 'kf', 'kx', 'u', 'f',
}

local function fields(id)
  local found = call('HMGET', P .. 'o:' .. id, unpack(ALL))
  return found[1] and found
end

-- Keep the indexes right when a status or an epoch changes.
local function placed(id, at, before, after, root, ended, stale)
  if before ~= after then
    if before then call('ZREM', P .. 'is:' .. before, id) end
    if after then call('ZADD', P .. 'is:' .. after, at, id) end
  end
  if after == 'processing' then
    call('ZADD', P .. 'stale', stale == '' and '+inf' or stale, id)
  elseif before == 'processing' then
    call('ZREM', P .. 'stale', id)
  end
  if root and FINAL[before] then
    call('ZREM', P .. 'done', id)
    call('ZREM', P .. 'bad', id)
  end
  if root and FINAL[after] then
    call('ZADD', P .. (after == 'failed' and 'bad' or 'done'), ended, id)
  end
end

local function logged(id, version, epoch, status, units, at)
  local key = P .. 's:' .. id
  local done = redis.pcall('XADD', key, 'MAXLEN', '~', 256, '0-' .. version,
    'e', epoch, 's', status, 'u', units, 'at', at)
  if type(done) == 'table' and done.err then
    -- what is there is not ours, or of an operation that had the id before
    call('DEL', key)
    call('XADD', key, '0-' .. version, 'e', epoch, 's', status, 'u', units, 'at', at)
  end
  rung[#rung + 1] = id
end

-- What a child's change makes of its ancestors (with_kids in Python), until it makes no difference.
-- Reads only: whatever cannot be read is found before anything is written.
local function climb(ancestors, adds, delta, now)
  local steps = {}
  for _, id in ipairs(ancestors) do
    if delta == 0 and not next(adds) then break end
    local p = call('HMGET', P .. 'o:' .. id, 's', 'u', 'w', 'pw', 'pd', 'ex', 'ou', 'kw', 'kd', 'kt',
      'kc', 'kf', 'kx', 'v', 'ua', 'x', 'sa', 'e', 'at', 'pa')
    if not p[1] then return steps end
    local hi, lo = big(p[9])
    hi, lo = plus(hi, lo, delta)
    local kids = {
      p[8] + (adds.kw or 0), shown(hi, lo), p[10] + (adds.kt or 0), p[11] + (adds.kc or 0),
      p[12] + (adds.kf or 0), p[13] + (adds.kx or 0),
    }
    local step = {id = id, kids = kids, before = p[1]}
    local units = tonumber(p[2])
    if not FINAL[p[1]] then
      local begun = hi > 0 or lo > 0 or kids[4] + kids[5] + kids[6] > 0
      step.status = p[1] == 'pending' and not begun and 'pending' or 'processing'
      units = units_of(step.status, tonumber(p[7]), tonumber(p[4]), p[5], tonumber(p[6]), kids[1],
        hi, lo)
      step.units, step.version, step.epoch = units, p[14] + 1, p[18]
      step.updated = tonumber(p[15]) > tonumber(now) and p[15] or now
      step.stale, step.at = '', p[19]
      if step.status ~= 'pending' then
        local till = now + p[17]
        step.stale = till > (tonumber(p[16]) or 0) and string.format('%.17g', till) or p[16]
      end
    end
    steps[#steps + 1] = step
    delta, adds = p[3] * (units - p[2]), {}
  end
  return steps
end

local function climbed(steps)
  for _, step in ipairs(steps) do
    local key, kids = P .. 'o:' .. step.id, step.kids
    if not step.status then
      call('HSET', key, 'kw', kids[1], 'kd', kids[2], 'kt', kids[3], 'kc', kids[4], 'kf', kids[5],
        'kx', kids[6])
      rung[#rung + 1] = step.id
    else
      call('HSET', key, 'kw', kids[1], 'kd', kids[2], 'kt', kids[3], 'kc', kids[4], 'kf', kids[5],
        'kx', kids[6], 's', step.status, 'u', step.units, 'v', step.version, 'ua', step.updated,
        'x', step.stale)
      if step.status ~= step.before then
        placed(step.id, step.at, step.before, step.status, false, '', step.stale)
      end
      logged(step.id, step.version, step.epoch, step.status, step.units, step.updated)
    end
  end
end

-- The answer, one string: the cheapest to read.
local function told(answer)
  for first = 1, #rung, 1000 do
    call('PUBLISH', P .. 'bell', table.concat(rung, '\n', first, math.min(first + 999, #rung)))
  end
  return cmsgpack.pack(answer)
end
