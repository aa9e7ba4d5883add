-- What every script begins with. KEYS[1] is the prefix in braces, so that all keys lie in one slot.
-- ARGV[1] is a msgpack array, the call's own; ARGV[2] is where its byte strings lie end to end.
--
-- body:ID    the job as it was enqueued, never changed. At its head: when it was created, its
--            number, its turn (doubles); its format, max_attempts, result_ttl (-1 for none), the
--            lengths of the names that follow: of its queue, its own. Then what only clients read.
-- job:ID     hash, from the first claim on, or where there is more to say than "pending": s status,
--            a attempts, f fence, r run_at, st started, e ended, w worker, o result, er error,
--            g progress, u unique key, pf on_parent_failure, wt parents it waits for, ch whether
--            others wait for it, k limit key, gt its gate; q and tl as at the head of the body
-- all        every job by number; ready:FORMAT:QUEUE by turn; delayed by time; blocked (by parents)
--            and parked (behind a limit) by number; leases by deadline; completed, failed and
--            cancelled by end; over by the end of their result_ttl
-- children:ID; parents:ID of a job that waits; unique, counts, paused, ticks, workers, born;
-- wake:QUEUE one token at most;
-- rate:SLOT  completed jobs of five seconds, by queue
-- run:GATE   who runs; starts:GATE when the latest began; lines:GATE queues of which some wait;
--            held:GATE,QUEUE who waits, by turn; next:GATE,QUEUE who was let out
local call = redis.call
local P = KEYS[1] .. ':'
local meta = cmsgpack.unpack(ARGV[1])
local blob = ARGV[2]
local strings = {}

local now = meta[1]
if not now then
  local time = call('TIME')
  now = time[1] + time[2] / 1e6
end
now = now + meta[2]

-- The answer, one string: how long the array is, the array, the bytes. The cheapest to read.
local function told(answer)
  local packed = cmsgpack.pack(answer)
  return struct.pack('>I4', #packed) .. packed .. table.concat(strings)
end

-- A command with any number of arguments: Lua's stack holds some thousand at once.
local function many(command, key, arguments)
  for first = 1, #arguments, 2000 do
    local last = math.min(first + 1999, #arguments)
    if key then
      call(command, key, unpack(arguments, first, last))
    else
      call(command, unpack(arguments, first, last))
    end
  end
end

local function wake(queue)
  if call('SISMEMBER', P .. 'paused', queue) == 0 and call('EXISTS', P .. 'wake:' .. queue) == 0 then
    call('LPUSH', P .. 'wake:' .. queue, 1)
  end
end

-- Before all those that wait longer: by priority, or, with aging, by microseconds after all others.
local function turn_of(priority, aging, number, i)
  if aging > 0 then return 2 ^ 52 + math.floor((now - priority * aging) * 1e6) + i end
  return -priority * 2 ^ 42 + number
end
