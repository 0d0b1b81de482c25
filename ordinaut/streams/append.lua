-- Appends numbered rows of the event log, each under the id `<position>-0`, and trims the stream.
-- KEYS[1] the stream; ARGV: max length, then per row: position, uid, project, count, time, events.
-- Returns the number of rows added, or 'FOREIGN' if the stream contains another row under one of the ids.
local key = KEYS[1]
local new = 0
for at = 2, #ARGV, 6 do
  local id = ARGV[at] .. '-0'
  local added = redis.pcall('XADD', key, 'MAXLEN', '~', ARGV[1], id,
    'uid', ARGV[at + 1], 'project', ARGV[at + 2], 'count', ARGV[at + 3], 'time', ARGV[at + 4], 'events', ARGV[at + 5])
  if type(added) == 'table' and added.err then
    if not string.find(added.err, 'equal or smaller') then return added end
    local same = redis.call('XRANGE', key, id, id)
    if same[1] then
      if same[1][2][2] ~= ARGV[at + 1] then return 'FOREIGN' end
    else
      local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
      if oldest[1] and tonumber(string.match(oldest[1][1], '^(%d+)')) < tonumber(ARGV[at]) then return 'FOREIGN' end
    end
  else
    new = new + 1
  end
end
return new
