"""The scripts that run in Redis. Each is one atomic step.

``ANNOUNCE`` gives the next number to a message and sends it in the same step, so that listeners see
numbers without a gap, in the order of the changes. Its format is that of :mod:`.messages`.
"""

import hashlib
from dataclasses import dataclass

from ...ports import FENCE_LIFE

# what others wrote under a name of ours, of another type or no number, counts as not there
_TEXT = (
    "local function text(key) local raw = redis.pcall('GET', key) "
    "return type(raw) == 'string' and raw end "
    "local function number(raw) local n = tonumber(raw or 0) return n and n < 1e16 and n or 0 end "
)
_NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
# numbers begin with the time: a server that lost its data gives none a second time
_BEGIN = (
    "local function begin() local t = redis.call('TIME') local seq = t[1] * 1000000 + t[2] "
    "redis.call('SET', KEYS[1], string.format('%.0f', seq)) return seq end "
)
# KEYS[1] the number, KEYS[2] the channel or stream; ARGV[1] how, ARGV[2] who, ARGV[3] the longest
ANNOUNCE = (
    _BEGIN + "local function announce(names, tags, ready) if ARGV[1] == '' then return end "
    "local seq = redis.pcall('INCR', KEYS[1]) "
    "if type(seq) ~= 'number' or seq == 1 then seq = begin() end "
    "local body = cmsgpack.pack({1, ARGV[2], seq, names, tags, ready}) "
    "if ARGV[1] == 'stream' then "
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'm', body) "
    "else redis.call('PUBLISH', KEYS[2], body) end end "
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script and its digest."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# values, fences and versions in one go. ARGV: how many keys are values; then the fields of the hash
READ = _script(
    "local n = tonumber(ARGV[1]) local found = {} "
    "if n > 0 then local names = {} for i = 1, n do names[i] = KEYS[i] end "
    "found = redis.call('MGET', unpack(names)) end "
    "local tags = {} for i = 2, #ARGV do tags[i - 1] = ARGV[i] end "
    "local versions = {} if #tags > 0 then versions = redis.call('HMGET', KEYS[#KEYS], "
    "unpack(tags)) end return {found, versions}"
)
# KEYS[1] the number of the last message, as text: it has more digits than a client need understand
NUMBER = _script(
    _BEGIN + _TEXT + "local seq = text(KEYS[1]) "
    "if not seq or not string.find(seq, '^%d+$') then seq = string.format('%.0f', begin()) end "
    "return seq"
)
# KEYS from 3: value, fence, value, ...; ARGV from 4: name, data, milliseconds, fence, limit, doubt.
# A value without fence is late if its key changed after the moment ``limit`` (µs). Then what came
# after it stays; where nobody knows which came last (``doubt``), the value is deleted. A change in
# the future tells of a clock that was set back, and of nothing else
WRITE = _script(
    _NOW + _TEXT + ANNOUNCE + "local done, told = {}, {} for i = 3, #KEYS, 2 do "
    "local a = 4 + (i - 3) / 2 * 6 local name, want = ARGV[a], ARGV[a + 3] "
    "local doubt = ARGV[a + 5] ~= '' local raw = text(KEYS[i + 1]) local last = number(raw) "
    "local fence = last > 0 and raw or '0' "
    "local late = want == '' and last > tonumber(ARGV[a + 4]) "
    "if want ~= '' and want ~= fence or late and not doubt and last <= now then "
    "done[#done + 1] = 0 else "
    "if want == '' then told[#told + 1] = name "
    "redis.call('SET', KEYS[i + 1], string.format('%.0f', math.max(now, last + 1)), "
    f"'EX', {FENCE_LIFE:.0f}) end "
    "if late and doubt then redis.call('UNLINK', KEYS[i]) done[#done + 1] = 0 else "
    "redis.call('SET', KEYS[i], ARGV[a + 1], 'PX', ARGV[a + 2]) "
    "done[#done + 1] = 1 end end end "
    "if #told > 0 then announce(told, {}, {}) end return done"
)
# KEYS from 3: value, fence, value, ...; ARGV from 4: names
DELETE = _script(
    _NOW + _TEXT + ANNOUNCE + "local n, told = 0, {} for i = 3, #KEYS, 2 do "
    "n = n + redis.call('UNLINK', KEYS[i]) local last = number(text(KEYS[i + 1])) "
    "redis.call('SET', KEYS[i + 1], string.format('%.0f', math.max(now, last + 1)), "
    f"'EX', {FENCE_LIFE:.0f}) "
    "told[#told + 1] = ARGV[4 + (i - 3) / 2] end announce(told, {}, {}) return n"
)
# KEYS[3] the hash; ARGV[4] 'soft' or 'hard'; then the tags, none to begin the hash. Its field ''
# has the highest version and that of the beginning, which tags have that were never bumped
BUMP = _script(
    _NOW + ANNOUNCE + "local function read(name, first) local raw = redis.call('HGET', KEYS[3], "
    "name) local version, hard = string.match(raw or '', '^(%d+):(%d+)$') "
    "if not version or #raw > 33 then return first, first end "
    "return tonumber(version), tonumber(hard) end "
    "local function keep(name, version, hard) "
    "local raw = string.format('%.0f:%.0f', version, hard) "
    "redis.call('HSET', KEYS[3], name, raw) return raw end "
    "local last, began = read('', now) local out, told = {}, {} for i = 5, #ARGV do "
    "local _, hard = read(ARGV[i], began) last = math.max(now, last + 1) "
    "if ARGV[4] == 'hard' then hard = last end "
    "out[#out + 1] = keep(ARGV[i], last, hard) "
    "told[#told + 1] = ARGV[i] told[#told + 1] = last told[#told + 1] = hard end "
    "out[#out + 1] = keep('', last, began) "
    "if #told > 0 then announce({}, told, {}) end return out"
)
# KEYS the leases; ARGV: milliseconds, tokens
ACQUIRE = _script(
    _TEXT + "local done = {} for i = 1, #KEYS do local holder = text(KEYS[i]) "
    "if holder and holder ~= ARGV[i + 1] then done[i] = 0 else "
    "redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1]) done[i] = 1 end end return done"
)
# KEYS[3] the lease; ARGV from 4: token, name
RELEASE = _script(
    _TEXT + ANNOUNCE + "if text(KEYS[3]) ~= ARGV[4] then return 0 end "
    "redis.call('DEL', KEYS[3]) announce({}, {}, {ARGV[5]}) return 1"
)
# a message of the caller's: ARGV from 4: how many names, how many triples of tags; then all of them
SEND = _script(
    ANNOUNCE + "local names, tags, ready = {}, {}, {} local n, m = tonumber(ARGV[4]), "
    "tonumber(ARGV[5]) * 3 for i = 6, #ARGV do local at = i - 5 "
    "if at <= n then names[at] = ARGV[i] elseif at <= n + m then local j = at - n "
    "if j % 3 == 1 then tags[j] = ARGV[i] else tags[j] = tonumber(ARGV[i]) end "
    "else ready[#ready + 1] = ARGV[i] end end announce(names, tags, ready) return 1"
)


def send_on(channel: str) -> Script:
    """Return ``SEND`` for a channel that is no key: in a cluster it has no slot."""
    quoted = "".join(f"\\{byte:03d}" for byte in channel.encode())
    return _script(SEND.text.replace("'PUBLISH', KEYS[2]", f"'PUBLISH', '{quoted}'"))
