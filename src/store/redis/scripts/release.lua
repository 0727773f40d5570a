-- KEYS claim; ARGV fence.
local held = redis.call('GETRANGE', KEYS[1], 0, 32)
if string.sub(held, 18) ~= ARGV[1] or string.sub(held, 1, 1) == 'D' then return 0 end
return redis.call('DEL', KEYS[1])
