-- wrk -t1 -c32 -d5s -s examples/bench_server/post.lua http://127.0.0.1:3000/stack
--
-- One body of 1 KiB with one signature under `bench-secret`, and a fresh delivery id for each request. A run that sees
-- anything but 2xx is void: `done` says so.

local body = '{"pad":"' .. string.rep("x", 1014) .. '"}'
-- printf '%s' "$body" | openssl dgst -sha256 -hmac bench-secret
local signature = "b7ad00fc07d39205d7c8cbce3c5b5e6ad8779e12dec11abdbe0b69d2d4a16ae6"

local counter = 0
local base
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("id", threads)
end

function init(args)
  math.randomseed(os.time() + id)
  base = string.format("%d-%08x-%08x-", id, math.random(0, 0x7fffffff), math.random(0, 0x7fffffff))
end

function request()
  counter = counter + 1
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["X-GitHub-Event"] = "push",
    ["X-GitHub-Delivery"] = base .. counter,
    ["X-Hub-Signature-256"] = "sha256=" .. signature,
  }, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("rps %.0f bad %d\n", summary.requests / (summary.duration / 1e6), bad))
end
