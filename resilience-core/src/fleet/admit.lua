-- Takes a lease from every dimension of a quota, or says how long to wait and takes nothing.
--
-- KEYS[1]  the quota: one hash, so that whatever is lost is lost together.
-- ARGV     hold   µs for which a quota whose past is unknown admits nothing
--          keep   ms for which the key stays after everything is full again
--          known  the server's run id when the caller spent what it owes, or ''
--          and seven for each dimension:
--          field  its name in the hash
--          unit   units in a token       (unit, rate and full as the caller's `Shape` has checked them:
--          rate   units per µs            whole, and no sum of two above 2^53, where doubles stop being exact)
--          full   units when it is full
--          need   tokens that must be there
--          want   tokens that a lease would like, `need` or more
--          owed   tokens that the caller spent on its own while this server did not answer
--
-- Answers {1, run, tokens of each dimension ...} or {0, run, µs to wait, dimension from 1}.

local HEAD, EACH = 3, 7

local function up(a, b)
  return math.floor((a + b - 1) / b)
end

local key, hold, keep, known = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local dimensions = {}
for at = HEAD + 1, #ARGV, EACH do
  local dimension = { field = ARGV[at] }
  for offset, name in ipairs({ 'unit', 'rate', 'full', 'need', 'want', 'owed' }) do
    local value = tonumber(ARGV[at + offset])
    if value == nil or value < 0 or value ~= math.floor(value) then
      return redis.error_reply('BADCOST ' .. name .. ' of ' .. dimension.field .. ' is no whole number of zero or more')
    end
    dimension[name] = value
  end
  if dimension.need * dimension.unit > dimension.full or dimension.want < dimension.need then
    return redis.error_reply('BADCOST ' .. dimension.field .. ' can never admit what is asked')
  end
  table.insert(dimensions, dimension)
end

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local stored, list = {}, redis.call('HGETALL', key)
for at = 1, #list, 2 do
  stored[list[at]] = list[at + 1]
end
if #list > 0 and stored.run == nil then
  return redis.error_reply('BADSTATE the hash has not been written by a fleet')
end

-- A missing key may be a quota that was never used, or one whose past was lost with the server; and data that
-- another run of the server left may be older than what it admitted since.
local fresh = stored.run ~= run

local dirty, wait, short = fresh, 0, 0
for index, dimension in ipairs(dimensions) do
  local full, rate, unit = dimension.full, dimension.rate, dimension.unit
  local level, at = 0, now + hold
  local text = not fresh and stored[dimension.field]
  if text then
    local old
    level, old, at = string.match(text, '^(%-?%d+)/([1-9]%d*)/(%d+)$')
    level, old, at = tonumber(level), tonumber(old), tonumber(at)
    if level == nil then
      return redis.error_reply('BADSTATE the field ' .. dimension.field .. ' has not been written by a fleet')
    end
    if old ~= unit then
      -- Whole tokens exactly; of the fraction, whose product may be rounded, one unit less.
      local whole = math.floor(level / old)
      local part = math.floor((level - whole * old) / old * unit) - 1
      level = math.max(-full, math.min(full, whole * unit + math.max(0, part)))
    end
    level = math.max(-full, math.min(full, level))
    -- A clock that went back a little is waited for, as a hold is; one that is far behind says nothing.
    if at - now > hold + up(full, rate) then
      level, at = math.min(0, level), now + hold
    end
    -- Only as much time as it takes to fill is multiplied, which keeps the product small.
    level = math.min(full, level + math.min(math.max(0, now - at), up(full - level, rate)) * rate)
    if dimension.owed > 0 and known == run then
      dirty = true
      level = math.max(-full, level - dimension.owed * unit)
    end
  else
    -- An unknown past is trusted with no more than an empty bucket, once nobody spends on his own any more.
    dirty = true
  end
  dimension.level, dimension.at = level, math.max(at, now)
  local lacks = dimension.need * unit - level
  if dimension.need > 0 and lacks > 0 then
    local delay = dimension.at - now + up(lacks, rate)
    if delay > wait then
      wait, short = delay, index
    end
  end
end

local reply
if wait > 0 then
  reply = { 0, run, wait, short }
else
  dirty = true
  reply = { 1, run }
  for _, dimension in ipairs(dimensions) do
    -- Beyond the need at most half of the rest, so that leases shrink as the quota gets short.
    local rest = math.floor((dimension.level - dimension.need * dimension.unit) / (2 * dimension.unit))
    local give = dimension.need + math.max(0, math.min(dimension.want - dimension.need, rest))
    dimension.level = dimension.level - give * dimension.unit
    table.insert(reply, give)
  end
end

-- A refusal changes nothing, so there is nothing to write.
if dirty then
  local fields, rested = { 'run', run }, 0
  if fresh then
    redis.call('DEL', key)
  end
  for _, dimension in ipairs(dimensions) do
    local level, unit, at = dimension.level, dimension.unit, dimension.at
    table.insert(fields, dimension.field)
    table.insert(fields, string.format('%.0f/%.0f/%.0f', level, unit, at))
    rested = math.max(rested, at - now + up(dimension.full - level, dimension.rate))
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, string.format('%.0f', up(rested, 1000) + keep))
end
return reply
