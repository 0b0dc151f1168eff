-- What wrk asks the API for: lists, single events, statistics. Ids come from IDS, a file with one in each line.
-- At the end a line is printed, and the exit status is 1 when MAX_P99_MS or MAX_ERROR_SHARE is missed.
local ids = {}
local file = os.getenv("IDS")
if file then
  for line in io.lines(file) do ids[#ids + 1] = line end
end
local key = os.getenv("KEY")
local headers = { Accept = "application/json", Authorization = key and "Bearer " .. key or nil }
local n = 0

function request()
  n = n + 1
  local path = "/events?limit=100"
  if n % 4 == 0 then
    path = "/events/all"
  elseif n % 4 ~= 1 and #ids > 0 then
    path = "/events/" .. ids[n * 7919 % #ids + 1]
  end
  return wrk.format("GET", path, headers)
end

function done(summary, latency, _)
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  local share = errors / math.max(summary.requests, 1)
  local p99 = latency:percentile(99) / 1000
  local max_p99, max_errors = tonumber(os.getenv("MAX_P99_MS")), tonumber(os.getenv("MAX_ERROR_SHARE"))
  local met = summary.requests > 0 and p99 <= max_p99 and share <= max_errors
  print(string.format("%s %d requests, %.0f/s, p50 %.1f ms, p99 %.1f ms (at most %d), failed %.4f (at most %s)", met and "ok    " or "MISSED",
    summary.requests, summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, p99, max_p99, share, max_errors))
  if not met then os.exit(1) end
end
