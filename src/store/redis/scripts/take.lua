-- KEYS bucket; ARGV nanoseconds for one request to refill, burst. Answers {admitted, left, wait in ns}.
--
-- A bucket is the moment at which it will be full again, in seconds and nanoseconds: nanoseconds alone do not fit into
-- a Lua number.
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = redis.call('TIME')
local now_s, now_ns = tonumber(now[1]), now[2] * 1000
local missing = 0
local held = redis.call('GET', KEYS[1])
if held then
  local s, ns = string.match(held, '^(%d+) (%d+)$')
  missing = math.max(0, (s - now_s) * 1000000000 + (ns - now_ns))
end
local early = missing - interval * (burst - 1)
if early > 0 then return {0, 0, early} end
missing = missing + interval
local full_ns = now_ns + missing % 1000000000
local full_s = now_s + math.floor(missing / 1000000000) + math.floor(full_ns / 1000000000)
local full = string.format('%.0f %.0f', full_s, full_ns % 1000000000)
redis.call('SET', KEYS[1], full, 'PX', string.format('%.0f', math.ceil(missing / 1000000)))
return {1, math.floor((interval * burst - missing) / interval), 0}
