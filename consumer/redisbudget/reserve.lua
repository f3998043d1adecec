-- Reserves departures. KEYS[1] holds the time of the next free one, in microseconds of Redis's clock.
-- ARGV: how many, the distance between two, the quiet time, the horizon (all microseconds), the expiry (ms), the question's number.
-- Returns Redis's time, the first departure, how many there are, `distance` apart, and the question's number.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local n, distance = tonumber(ARGV[1]), tonumber(ARGV[2])
local quiet, horizon = tonumber(ARGV[3]), tonumber(ARGV[4])
local first = tonumber(redis.call('GET', KEYS[1]) or '')
-- Absent: what was handed out before the loss still counts for a while. Too far ahead for anything that this
-- script has written: the clock was set back.
if not first or first > now + horizon + 2 * quiet then
  first = now + quiet
end
first = math.max(first, now)
local granted = math.max(0, math.min(n, math.floor((now + horizon - first) / distance) + 1))
redis.call('SET', KEYS[1], string.format('%.0f', first + granted * distance), 'PX', ARGV[5])
return {now, first, granted, tonumber(ARGV[6])}
