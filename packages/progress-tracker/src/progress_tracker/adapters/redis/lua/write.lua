-- Replace own states, each if the revision is still the one it was made from.
-- meta: for each: id, revision, token, epoch, status, updated_at, completed_at, stale_after, stale_at,
-- writer, cancel_requested, state, part_weight, part_done, expected, own_units, ancestors, weight.
-- The answer, for each: 1 and what only we know; 0 or 2 (the token is stored) and the stored one or
-- false; 3 and why it cannot be read.
local function write(w)
  local id = w[1]
  local key = P .. 'o:' .. id
  local old = call('HMGET', key, 'n', 't', 'e', 's', 'x', 'v', 'u', 'kw', 'kd', 'kt', 'kc', 'kf', 'kx')
  if not old[1] then return {0, false} end
  if tonumber(old[1]) ~= w[2] then return {old[2] == w[3] and 2 or 0, fields(id)} end
  local before, status, stale = old[4], w[5], w[9]
  if status == 'pending' and before == 'processing' and tonumber(old[3]) == w[4] then
    status, stale = before, old[5]
  end
  local hi, lo = big(old[9])
  local units = units_of(status, w[16], w[13], w[14], w[15], tonumber(old[8]), hi, lo)
  local version, revision = old[6] + 1, w[2] + 1
  local steps = {}
  if #w[17] > 0 then
    local adds, ended, was = {}, FINAL[status], FINAL[before]
    if ended ~= was then
      if ended then adds[ended] = 1 end
      if was then adds[was] = -1 end
    end
    steps = climb(w[17], adds, w[18] * (units - old[7]), w[6])
  end
  call('HSET', key, 'e', w[4], 'v', version, 'n', revision, 't', w[3], 's', status, 'ua', w[6],
    'c', w[7], 'sa', w[8], 'x', stale, 'wr', w[10], 'cr', w[11], 'st', w[12], 'pw', w[13],
    'pd', w[14], 'ex', w[15], 'ou', w[16], 'u', units)
  if status ~= before or tonumber(old[3]) ~= w[4] then
    placed(id, call('HGET', key, 'at'), before, status, #w[17] == 0, w[7], stale)
  end
  logged(id, version, w[4], status, units, w[6])
  climbed(steps)
  return {1, version, revision, status, stale, units, old[8], old[9], old[10], old[11], old[12], old[13]}
end

local answer = {}
for i, each in ipairs(meta) do
  local fine, made = pcall(write, each)
  if fine then
    answer[i] = made
  elseif #meta == 1 then
    error(made)
  else
    -- one that cannot be read must not hold up the others
    answer[i] = {3, type(made) == 'table' and made.err or tostring(made)}
  end
end
return told(answer)
