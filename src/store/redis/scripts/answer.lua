-- KEYS claim; ARGV fence, time in ms, the new state, the answer.
local held = redis.call('GETRANGE', KEYS[1], 0, 32)
if string.sub(held, 18) ~= ARGV[1] or string.sub(held, 1, 1) == 'D' then return 0 end
redis.call('SET', KEYS[1], ARGV[3] .. string.sub(held, 2) .. ARGV[4], 'PX', ARGV[2])
return 1
