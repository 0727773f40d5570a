-- KEYS claim, fence; ARGV fingerprint, lease in ms. Answers the new fence, or the record that is there.
local held = redis.call('GET', KEYS[1])
if held then
  if string.sub(held, 2, 17) == ARGV[1] then return held end
  return string.sub(held, 1, 17)
end
local fence = redis.call('INCR', KEYS[2])
if fence == 1 then
  -- Begun at the time in microseconds: should the server ever lose its data, the next fence is still higher than
  -- all before it.
  local now = redis.call('TIME')
  fence = now[1] * 1000000 + now[2]
  redis.call('SET', KEYS[2], string.format('%.0f', fence))
end
redis.call('SET', KEYS[1], 'F' .. ARGV[1] .. string.format('%016.0f', fence), 'PX', ARGV[2])
return fence
