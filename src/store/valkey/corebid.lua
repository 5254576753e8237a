#!lua name=corebid
-- version 2

-- The lease authority of one advertiser: what crate::authority::Authority does, where several machines share it. Each function is one
-- step of it, run by the server as one: nothing comes between, and a replica or the append-only file gets all of it or nothing.
--
--   KEYS[1]   {a<advertiser>}              a hash: 'm' meta, 's' stops, 'u' unheard processes, 'q' orphans, 'p' and a process, 'n' and a
--                                          node, and campaigns by their four bytes
--   derived   {a<advertiser>}:p<process>   a hash: the leases of a process by their eight bytes, 'o', campaign and day of each, 'f'
--                                          and the number of what others booked on them
--             {a<advertiser>}:r<minute>    a hash: reservations that are booked, by the minute in which they expire
--   ARGV[1]   envelope: format, epoch, version last seen, replication id of the server it is meant for
--   ARGV[2]   what the function is about; src/store/valkey/lease/ holds the other end of all formats
--
-- No half-done step: everything that will be written is read first, so that a key of another type fails before the first
-- write; lack of memory, a read-only replica and missing replicas are refused by the server before the function begins; what
-- is written is written by `commit`, after the sums were checked.
--
-- Money is in millionths, whole, below 2^53: a Lua number holds it exactly. Times are ms of the server's clock. Ids are kept as the
-- bytes they came in. A lease's id begins with its process: (process << 40 | counter), little endian.

local FORMAT = 1
-- crate::limits: LEASE_NS, EPSILON_MS, TICK_NS, REPORTED_BOOKINGS.
local LEASE, EPSILON, TICK, FOREIGN = 10000, 2000, 5000, 4096
-- Leases of processes that are over which one call ends; the next tick goes on.
local ENDED_AT_ONCE = 512

local OK, LOST, MISMATCH, REFUSED = 0, 1, 2, 3
local BLANK, OTHER_EPOCH, OLD_VERSION, OTHER_SERVER = 0, 1, 2, 3
local MALFORMED, LATE, OLD_LIST, NEVER_HEARD, GONE, ALIVE = 0, 1, 2, 3, 4, 5
local CURRENT, LEARNING, REPLACED, UNKNOWN = 0, 1, 2, 3
local SAFE, BEFORE, EXPIRED, NO_LEASE = 0, 1, 2, 3
local CAMPAIGN, ADVERTISER = 0, 1
local WHY_MISMATCH = 3

local META = '<I4I8I8I8I8I8I8i8I8B'
local LIFE = '<I8Bi4i8i8i8Bi8i8i8i8i8I4I2i8i8i8B'
local DAY = '<I4i8i8i8i8I2'
-- A campaign with one day: LIFE, the last byte of which is their number, and DAY.
local ONE_DAY = '<I8Bi4i8i8i8Bi8i8i8i8i8I4I2i8i8i8BI4i8i8i8i8I2'
local LIFE_BYTES, ONE_DAY_BYTES = 109, 147
local DAY_BYTES = 38
-- And its needs: one, and others as they are.
local ONE_DAY_AND_NEEDS = ONE_DAY .. 'I4I8i8i8i8c0'
local NEED = '<I4I8i8i8i8'
local NEED_BYTES = 36
local PROCESS = '<I2I8I8BI8I4I8I8I4I4'
-- The last byte: it is the lease of its process for its campaign's day.
local LEASE_RECORD = '<c4c4i8i8i8I8i8B'
local LEASE_NUMBERS = '<I4I4i8i8i8I8i8B'
local BOOKING = '<I8c8c8c4I4i8i8I8BI4'
local BOOKING_BYTES = 61
local SAID = '<c4c4c8c8i8i8i8i8i8i8i8BB'
local SAID_BYTES = 82
-- Its end, after the ids.
local SAID_AT, SAID_SUMS = 24, '<i8i8i8i8i8i8i8BB'
local ANSWER = '<I4I4c8i8i8i8i8i8I4i8'
local FOREIGN_RECORD = '<c8c8I4i8i8I8'
local NONE = '\0\0\0\0\0\0\0\0'

-- What a call has read, and what it will write. Set anew by `enter`.
local key, now, today, reporter, meta, stored, stops, unheard, unheard_count, orphans
local campaigns, processes, nodes, leases, of_day, reserved
local listed, changes, dropped, dirty
-- Of `steady`: fields and values that are to be written, of the main hash and of its process; what money they move; whether all adds up.
local fields_of_steady, leases_of_steady, moved_by_steady, sound
-- What the server has: nothing of it is there while a library is loaded.
local call, pack, unpack_bytes, floor, max, min, byte, sub, find, concat, insert, ipairs, pairs, next, type, unpack

local function bind()
  call, pack, unpack_bytes = redis.call, struct.pack, struct.unpack
  floor, max, min = math.floor, math.max, math.min
  byte, sub, find, concat, insert = string.byte, string.sub, string.find, table.concat, table.insert
  ipairs, pairs, next, type, unpack = _G.ipairs, _G.pairs, _G.next, _G.type, _G.unpack
end

local function clock()
  local time = call('TIME')
  return time[1] * 1000 + floor(time[2] / 1000)
end

-- ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

local function read_meta(bytes)
  local epoch, version, learning, forgotten, ticked, revision, latest, committed, minutes, restless, at =
    unpack_bytes(META, bytes)
  return {
    epoch = epoch, version = version, learning = learning, forgotten = forgotten, ticked = ticked, revision = revision,
    latest = latest, committed = committed, minutes = minutes, restless = restless, server = sub(bytes, at),
  }
end

local function read_stops(bytes)
  local found = {}
  for at = 1, #(bytes or ''), 6 do
    local scope, id, why = unpack_bytes('<BI4B', bytes, at)
    found[#found + 1] = { scope = scope, id = id, why = why }
  end
  return found
end

-- Days before it are forgotten, once no lease of them is left: nothing is billed for them.
local function oldest_day()
  return floor(meta.forgotten / 1440) - 2
end

local function read_campaign(raw, bytes)
  if not bytes then return false end
  local revision, strict, tolerance, daily, total, largest, alive, budget, ceiling, settled, charged, excess, need_epoch,
    needs, demand, expected, exposed, count, at = unpack_bytes(LIFE, bytes)
  local days = {}
  local old = oldest_day()
  for i = 1, count do
    local day, day_budget, day_ceiling, day_settled, day_charged, open = unpack_bytes(DAY, bytes, at)
    at = at + DAY_BYTES
    if day >= old or open > 0 then
      days[#days + 1] = {
        day = day, budget = day_budget, ceiling = day_ceiling, settled = day_settled, charged = day_charged, open = open,
      }
    end
  end
  local campaign = {
    raw = raw, revision = revision, strict = strict == 1, tolerance = tolerance, daily = daily, total = total,
    largest = largest, alive = alive == 1, budget = budget, ceiling = ceiling, settled = settled, charged = charged,
    excess = excess, needs = needs, demand = demand, expected = expected, exposed = exposed, days = days,
    asked = sub(bytes, at), before = settled + charged, dirty = false,
  }
  if need_epoch ~= meta.epoch then
    campaign.needs, campaign.demand, campaign.expected, campaign.exposed, campaign.asked = 0, 0, 0, 0, ''
  end
  return campaign
end

local function read_process(incarnation, bytes)
  if not bytes then return false end
  local node, till, horizon, ended, next_booking, open, last_foreign, heard, heard_epoch, foreign =
    unpack_bytes(PROCESS, bytes)
  if heard_epoch ~= meta.epoch then heard = 0 end
  return {
    incarnation = incarnation, node = node, till = till, horizon = horizon, ended = ended == 1,
    next_booking = next_booking, leases = open, last_foreign = last_foreign, heard = heard, foreign = foreign,
  }
end

local function read_node(id, bytes)
  local node = { id = id, booked = 0, retired = 0, incarnations = {}, firsts = {} }
  if bytes then
    node.known = true
    node.booked, node.retired = unpack_bytes('<I8I8', bytes)
    for at = 17, #bytes, 12 do
      local incarnation, first = unpack_bytes('<I4I8', bytes, at)
      insert(node.incarnations, incarnation)
      insert(node.firsts, first)
    end
  end
  return node
end

local function read_lease(id, bytes)
  if not bytes then return false end
  local campaign, day, granted, settled, released, since, grown, current = unpack_bytes(LEASE_RECORD, bytes)
  return {
    id = id, campaign = campaign, day = day, granted = granted, settled = settled, released = released, since = since,
    grown = grown, current = current,
  }
end

local function of_process(incarnation)
  return key .. ':p' .. incarnation
end

-- Those of minutes that are forgotten are remembered together, until the next tick.
local LATE_MINUTE = 0

local function minute_of(expires)
  local minute = floor(expires / 60000)
  return minute > meta.forgotten and minute or LATE_MINUTE
end

local function of_minute(minute)
  return key .. ':r' .. minute
end

local function process_of(id)
  return (unpack_bytes('<I3', id, 6))
end

local function campaign_of(raw)
  local campaign = campaigns[raw]
  if campaign == nil then campaign = call('HGET', key, raw) end
  if type(campaign) == 'string' then campaign = read_campaign(raw, campaign) end
  campaigns[raw] = campaign
  return campaign
end

local function process(incarnation)
  local known = processes[incarnation]
  if known == nil then
    known = read_process(incarnation, call('HGET', key, 'p' .. pack('<I4', incarnation)))
    processes[incarnation] = known
  end
  return known
end

local function node_of(id)
  local node = nodes[id]
  if not node then
    node = read_node(id, call('HGET', key, 'n' .. pack('<I2', id)))
    nodes[id] = node
  end
  return node
end

local function lease_of(id)
  local lease = leases[id]
  if lease == nil then lease = call('HGET', of_process(process_of(id)), id) end
  if type(lease) == 'string' then lease = read_lease(id, lease) end
  leases[id] = lease
  return lease
end

-- The lease of a process for a campaign's day; `place` is both.
local function lease_for(incarnation, place)
  local here = of_day[incarnation]
  if not here then
    here = {}
    of_day[incarnation] = here
  end
  local id = here[place]
  if id == nil then
    id = call('HGET', of_process(incarnation), 'o' .. place)
    here[place] = id
  end
  return id
end

local function charge(lease)
  return lease.granted - lease.settled - lease.released
end

local function day_of(campaign, day)
  local days = campaign.days
  for place = 1, #days do
    if days[place].day == day then return days[place] end
  end
  return nil
end

-- ── Who is who ───────────────────────────────────────────────────────────────────────────────────────────────────────────

local function is_over(incarnation)
  local known = process(incarnation)
  if not known or known.ended then return true end
  local node = node_of(known.node)
  return node.retired > 0 or node.incarnations[#node.incarnations] > incarnation
end

local function is_replayed(incarnation)
  local known = process(incarnation)
  if not known or known.ended then return true end
  local node = node_of(known.node)
  if node.retired > 0 then return true end
  for place, later in ipairs(node.incarnations) do
    if later > incarnation then return node.booked >= node.firsts[place] end
  end
  return false
end

local function is_deaf()
  if unheard_count == 0 then return false end
  for incarnation in pairs(unheard) do
    if not is_replayed(incarnation) then return true end
  end
  return false
end

local function hear(incarnation)
  if unheard[incarnation] then
    unheard[incarnation] = nil
    unheard_count = unheard_count - 1
  end
end

local function begin(incarnation, node_id, horizon, first_booking, next_booking)
  local node = node_of(node_id)
  local place = #node.incarnations + 1
  while place > 1 and node.incarnations[place - 1] > incarnation do place = place - 1 end
  insert(node.incarnations, place, incarnation)
  insert(node.firsts, place, next_booking)
  if #node.incarnations > 1 then meta.restless = 1 end
  node.booked = max(node.booked, first_booking)
  local new = {
    incarnation = incarnation, node = node_id, till = 0, horizon = horizon, ended = false, next_booking = next_booking,
    leases = 0, last_foreign = 0, heard = 0, foreign = 0,
  }
  processes[incarnation] = new
  dirty.nodes[node] = true
  dirty.processes[new] = true
  insert(listed, incarnation)
  return new
end

-- ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

local function touch(campaign)
  if not campaign.dirty then
    campaign.dirty = true
    insert(dirty.campaigns, campaign)
  end
end

local function move(account, settled, charged)
  account.settled = account.settled + settled
  account.charged = account.charged + charged
  account.ceiling = max(account.budget, min(account.ceiling, max(account.settled + account.charged, account.budget)))
end

-- Moves money of a campaign, in the accounts of its life and its day.
local function move_accounts(campaign, day, settled, charged)
  move(campaign, settled, charged)
  move(day, settled, charged)
  meta.committed = meta.committed + settled + charged
  touch(campaign)
end

-- Makes room for what is committed whether a budget allows it or not.
local function commit_more(account, more)
  account.ceiling = max(account.ceiling, account.settled + account.charged + more)
end

local function accounts_of(lease)
  local campaign = campaign_of(lease.campaign)
  return campaign, day_of(campaign, (unpack_bytes('<I4', lease.day)))
end

-- A field of a process's hash is to be written; `false`: deleted.
local function change(incarnation, field, value)
  local here = changes[incarnation]
  if not here then
    here = {}
    changes[incarnation] = here
  end
  here[field] = value
end

local function new_lease(id, incarnation, campaign, day, raw_day)
  local lease = {
    id = id, campaign = campaign.raw, day = raw_day, granted = 0, settled = 0, released = 0, since = 0, grown = 0,
    current = 1,
  }
  leases[id] = lease
  dirty.leases[lease] = true
  day.open = day.open + 1
  touch(campaign)
  local holder = process(incarnation)
  holder.leases = holder.leases + 1
  dirty.processes[holder] = true
  local place = campaign.raw .. raw_day
  local before = lease_for(incarnation, place)
  before = before and lease_of(before)
  if before then
    before.current = 0
    dirty.leases[before] = true
  end
  of_day[incarnation][place] = id
  change(incarnation, 'o' .. place, id)
  return lease
end

-- Makes a day's budget known, if it is not as it stands. Whether the campaign is listed and the day may have a budget.
local function fund_day(campaign, day)
  if not campaign or campaign.revision ~= meta.revision then return false end
  local account = day_of(campaign, day)
  if not account then
    for _, other in ipairs(campaign.days) do
      if other.day > day then return false end
    end
  end
  if account and account.budget == campaign.daily and campaign.alive and campaign.budget == campaign.total then
    return true
  end
  local kept = {}
  for _, other in ipairs(campaign.days) do
    if other.day >= day or other.open > 0 then kept[#kept + 1] = other end
  end
  if not account then
    account = { day = day, budget = 0, ceiling = 0, settled = 0, charged = 0, open = 0 }
    kept[#kept + 1] = account
  end
  campaign.days = kept
  campaign.alive = true
  campaign.budget = campaign.total
  campaign.ceiling = max(campaign.total, campaign.settled + campaign.charged)
  account.budget = campaign.daily
  account.ceiling = max(campaign.daily, account.settled + account.charged)
  touch(campaign)
  return true
end

-- The leases of a process, as they are stored.
local function leases_of(incarnation)
  local found = {}
  for _, field in ipairs(call('HKEYS', of_process(incarnation))) do
    if #field == 8 then found[#found + 1] = field end
  end
  return found
end

-- What others booked on the leases of a process after a number, in order.
local function foreign_after(holder, seen)
  if holder.foreign == 0 or holder.last_foreign <= seen then return {} end
  local found, new = {}, dirty.foreign[holder.incarnation] or {}
  local numbers = {}
  for _, field in ipairs(call('HKEYS', of_process(holder.incarnation))) do
    local number = sub(field, 1, 1) == 'f' and #field == 9 and unpack_bytes('<I8', field, 2) or 0
    if number > seen then numbers[#numbers + 1] = number end
  end
  table.sort(numbers)
  local gone = dirty.gone[holder.incarnation] or {}
  for _, number in ipairs(numbers) do
    local bytes = call('HGET', of_process(holder.incarnation), 'f' .. pack('<I8', number))
    if not gone[number] then found[#found + 1] = { number = number, bytes = bytes } end
  end
  for _, one in ipairs(new) do
    if one.number > seen and not gone[one.number] then found[#found + 1] = one end
  end
  return found
end

-- Nothing can be claimed under a lease any more.
local function close(lease)
  local campaign, day = accounts_of(lease)
  local left = charge(lease)
  if left > 0 then
    lease.released = lease.granted - lease.settled
    move_accounts(campaign, day, 0, -left)
  end
  local incarnation = process_of(lease.id)
  day.open = day.open - 1
  touch(campaign)
  leases[lease.id] = false
  dirty.leases[lease] = nil
  local place = lease.campaign .. lease.day
  if lease_for(incarnation, place) == lease.id then
    of_day[incarnation][place] = false
    change(incarnation, 'o' .. place, false)
  end
  change(incarnation, lease.id, false)
  local holder = process(incarnation)
  if holder then
    holder.leases = holder.leases - 1
    dirty.processes[holder] = true
    for _, foreign in ipairs(foreign_after(holder, 0)) do
      if sub(foreign.bytes, 1, 8) == lease.id then
        holder.foreign = holder.foreign - 1
        dirty.gone[incarnation] = dirty.gone[incarnation] or {}
        dirty.gone[incarnation][foreign.number] = true
        change(incarnation, 'f' .. pack('<I8', foreign.number), false)
      end
    end
  end
end

local function is_stopped(scope, id)
  for _, stop in ipairs(stops) do
    if stop.scope == scope and stop.id == id then return true end
  end
  return false
end

local function stop(scope, id, why)
  if is_stopped(scope, id) then return end
  local place = 1
  while stops[place] and (stops[place].scope < scope or (stops[place].scope == scope and stops[place].id < id)) do
    place = place + 1
  end
  insert(stops, place, { scope = scope, id = id, why = why })
  dirty.stops = true
end

local function advertiser()
  return tonumber(string.match(key, '%d+'))
end

-- ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

local function write_meta(of)
  return pack(META, of.epoch, of.version, of.learning, of.forgotten, of.ticked, of.revision, of.latest, of.committed,
    of.minutes, of.restless) .. of.server
end

local function write_stops()
  local bytes = {}
  for place, one in ipairs(stops) do bytes[place] = pack('<BI4B', one.scope, one.id, one.why) end
  return concat(bytes)
end

local function write_campaign(of)
  local days, bytes = of.days, nil
  local life = pack(LIFE, of.revision, of.strict and 1 or 0, of.tolerance, of.daily, of.total, of.largest,
    of.alive and 1 or 0, of.budget, of.ceiling, of.settled, of.charged, of.excess, meta.epoch, of.needs, of.demand,
    of.expected, of.exposed, #days)
  for place = 1, #days do
    local account = days[place]
    local day = pack(DAY, account.day, account.budget, account.ceiling, account.settled, account.charged, account.open)
    bytes = bytes and bytes .. day or day
  end
  return bytes and life .. bytes .. of.asked or life .. of.asked
end

local function write_process(of)
  return pack(PROCESS, of.node, of.till, of.horizon, of.ended and 1 or 0, of.next_booking, of.leases, of.last_foreign,
    of.heard, meta.epoch, of.foreign)
end

local function write_node(of)
  local parts = { pack('<I8I8', of.booked, of.retired) }
  for place, incarnation in ipairs(of.incarnations) do
    parts[#parts + 1] = pack('<I4I8', incarnation, of.firsts[place])
  end
  return concat(parts)
end

local function write_lease(of)
  return pack(LEASE_RECORD, of.campaign, of.day, of.granted, of.settled, of.released, of.since, of.grown,
    of.current)
end

-- The stack of a Lua function holds some thousand values.
local AT_ONCE = 1000

local function set(where, pairs_of)
  for from = 1, #pairs_of, AT_ONCE do
    call('HSET', where, unpack(pairs_of, from, min(from + AT_ONCE - 1, #pairs_of)))
  end
end

local function delete(where, fields)
  for from = 1, #fields, AT_ONCE do
    call('HDEL', where, unpack(fields, from, min(from + AT_ONCE - 1, #fields)))
  end
end

local function holds(account)
  return account.settled >= 0 and account.charged >= 0 and account.settled + account.charged <= account.ceiling
end

-- Whether everything that was touched adds up: every day under its ceiling, days to their campaign's life, campaigns to their
-- advertiser, and no lease below nothing.
local function adds_up()
  local moved = moved_by_steady
  for _, campaign in ipairs(dirty.campaigns) do
    local charged = 0
    local days = campaign.days
    for place = 1, #days do
      local account = days[place]
      if not holds(account) or account.open < 0 then return false end
      charged = charged + account.charged
    end
    if not holds(campaign) or charged ~= campaign.charged then return false end
    moved = moved + campaign.settled + campaign.charged - campaign.before
  end
  for lease in pairs(dirty.leases) do
    if charge(lease) < 0 or lease.settled < 0 or lease.released < 0 then return false end
  end
  return sound and meta.committed >= 0 and stored.committed + moved == meta.committed
end

-- Writes everything down, if it adds up. Otherwise nothing of it, and the advertiser is stopped.
local function commit()
  if not adds_up() then
    meta = read_meta(stored.bytes)
    stops = read_stops(stored.stops)
    stop(ADVERTISER, advertiser(), WHY_MISMATCH)
    meta.version = meta.version + 1
    call('HSET', key, 'm', write_meta(meta), 's', write_stops())
    return false
  end
  meta.version = meta.version + 1
  local fields = fields_of_steady
  local function put(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  put('m', write_meta(meta))
  if dirty.stops then put('s', write_stops()) end
  if dirty.memory then
    local names, kept = {}, {}
    for incarnation in pairs(unheard) do names[#names + 1] = incarnation end
    table.sort(names)
    for place, incarnation in ipairs(names) do names[place] = pack('<I4', incarnation) end
    for id in pairs(orphans) do kept[#kept + 1] = id end
    table.sort(kept)
    put('u', concat(names))
    put('q', concat(kept))
  end
  for _, campaign in ipairs(dirty.campaigns) do put(campaign.raw, write_campaign(campaign)) end
  for known in pairs(dirty.processes) do
    if processes[known.incarnation] == known then put('p' .. pack('<I4', known.incarnation), write_process(known)) end
  end
  for node in pairs(dirty.nodes) do put('n' .. pack('<I2', node.id), write_node(node)) end
  set(key, fields)
  if #leases_of_steady > 0 then set(of_process(reporter), leases_of_steady) end
  for lease in pairs(dirty.leases) do change(process_of(lease.id), lease.id, write_lease(lease)) end
  for incarnation, all in pairs(changes) do
    local gone, new = {}, {}
    for field, value in pairs(all) do
      if value then
        new[#new + 1] = field
        new[#new + 1] = value
      else
        gone[#gone + 1] = field
      end
    end
    delete(of_process(incarnation), gone)
    set(of_process(incarnation), new)
  end
  if dirty.ticked then call('UNLINK', of_minute(LATE_MINUTE)) end
  for minute, booked in pairs(reserved) do
    local new = {}
    for field, amount in pairs(booked.new) do
      new[#new + 1] = field
      new[#new + 1] = pack('<i8', amount)
    end
    if #new > 0 then
      set(of_minute(minute), new)
      -- `forgotten` passes it a tick before.
      call('PEXPIREAT', of_minute(minute), max((minute + 2) * 60000, now) + EPSILON + 60000)
    end
  end
  for _, incarnation in ipairs(dropped) do
    call('HDEL', key, 'p' .. pack('<I4', incarnation))
    call('UNLINK', of_process(incarnation))
  end
  return true
end

-- ── The frame of a call ──────────────────────────────────────────────────────────────────────────────────────────────────

local function header(status)
  return pack('<BI4I8I8', status, meta and meta.epoch or 0, meta and meta.version or 0, now)
end

local function lost(why)
  return header(LOST) .. pack('<B', why)
end

local function refused(why)
  return header(REFUSED) .. pack('<B', why)
end

local function malformed(keys)
  key, now, meta = keys[1], clock(), nil
  return refused(MALFORMED)
end

-- After a replica took over, or a restart, the server has another one: acknowledged writes may be gone.
local function serves(id)
  return find(call('INFO', 'replication'), 'master_replid:' .. id, 1, true) ~= nil
end

local function take(bytes)
  meta = bytes and read_meta(bytes) or nil
  stored = bytes and { bytes = bytes, committed = meta.committed } or nil
end

-- Reads what every call needs and whatever `fields` of the main hash; returns why the call must not be answered, if so.
local function enter(keys, args, fields)
  key, now = keys[1], clock()
  today = floor(now / 86400000)
  campaigns, processes, nodes, leases, of_day, reserved = {}, {}, {}, {}, {}, {}
  changes, dropped, listed = {}, {}, {}
  fields_of_steady, leases_of_steady, moved_by_steady, sound = {}, {}, 0, true
  dirty = { campaigns = {}, processes = {}, nodes = {}, leases = {}, foreign = {}, gone = {}, stops = false, memory = false, ticked = false }
  meta = nil
  if #args[1] < 53 then return refused(MALFORMED) end
  local format, epoch, version, id = unpack_bytes('<BI4I8c40', args[1])
  if format ~= FORMAT then return refused(MALFORMED) end
  local found = {}
  for from = 1, max(#fields, 1), AT_ONCE do
    local part = call('HMGET', key, 'm', 's', 'u', 'q', unpack(fields, from, min(from + AT_ONCE - 1, #fields)))
    if from == 1 then
      take(part[1])
      if not meta then return lost(BLANK) end
      stored.stops = part[2] or ''
      stops = read_stops(part[2])
      unheard, unheard_count, orphans = {}, 0, {}
      for at = 1, #(part[3] or ''), 4 do
        unheard[unpack_bytes('<I4', part[3], at)] = true
        unheard_count = unheard_count + 1
      end
      for at = 1, #(part[4] or ''), 8 do orphans[sub(part[4], at, at + 7)] = true end
    end
    for place = 5, #part do found[#found + 1] = part[place] end
  end
  if meta.epoch ~= epoch then return lost(OTHER_EPOCH) end
  if meta.version < version then return lost(OLD_VERSION) end
  if meta.server ~= id or not serves(id) then return lost(OTHER_SERVER) end
  return nil, found
end

-- All processes, in order.
local function all_processes()
  local found = {}
  for _, field in ipairs(call('HKEYS', key)) do
    if #field == 5 then found[#found + 1] = (unpack_bytes('<I4', field, 2)) end
  end
  for _, incarnation in ipairs(listed) do found[#found + 1] = incarnation end
  table.sort(found)
  return found
end

-- ── Time passes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

local function past(incarnation)
  local known = process(incarnation)
  return now > (known and known.till + known.horizon or 0) + 2 * EPSILON + 60000
end

-- Forgets processes that nothing can be claimed from: but for the last of each node, and those by which an earlier one's end
-- is told.
local function forget_processes(all)
  local owing = {}
  for _, incarnation in ipairs(all) do
    local known = process(incarnation)
    if known.leases > 0 then owing[known.node] = owing[known.node] or incarnation end
  end
  for _, incarnation in ipairs(all) do
    local known = process(incarnation)
    local node, first = node_of(known.node), owing[known.node]
    local last = node.incarnations[#node.incarnations]
    if not (first and incarnation >= first) and incarnation ~= last then
      for place, other in ipairs(node.incarnations) do
        if other == incarnation then
          table.remove(node.incarnations, place)
          table.remove(node.firsts, place)
          break
        end
      end
      dirty.nodes[node] = true
      insert(dropped, incarnation)
      processes[incarnation] = false
    end
  end
end

-- Authority::tick, with the first call of five seconds; but for the recount of all sums, as `commit` checks those that move.
local function tick()
  if now - meta.ticked < TICK then return end
  meta.ticked, dirty.ticked = now, true
  meta.forgotten = max(meta.forgotten, floor(max(now - EPSILON, 0) / 60000) - 1)
  if meta.learning > 0 and now > meta.learning then meta.learning = 0 end
  if meta.restless == 1 then
    local all = all_processes()
    forget_processes(all)
    meta.restless = 0
    local budget = ENDED_AT_ONCE
    for _, incarnation in ipairs(all) do
      local known = process(incarnation)
      if known and is_over(incarnation) then
        if known.leases > 0 and budget > 0 and is_replayed(incarnation) and past(incarnation) then
          for _, id in ipairs(leases_of(incarnation)) do
            if budget == 0 then break end
            budget = budget - 1
            close(lease_of(id))
          end
        end
        local node = node_of(known.node)
        -- There is more to do for it later.
        if known.leases > 0 or node.incarnations[#node.incarnations] ~= incarnation then meta.restless = 1 end
      end
    end
  end
  for incarnation in pairs(unheard) do
    if is_over(incarnation) and past(incarnation) then
      hear(incarnation)
      dirty.memory = true
    end
  end
  if next(orphans) and not is_deaf() then
    for id in pairs(orphans) do
      local lease = lease_of(id)
      if lease then close(lease) end
    end
    orphans = {}
    dirty.memory = true
  end
end

-- ── A report ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

-- What was booked for a reservation, if it is booked.
local function booked_for(id, reservation, expires)
  local minute = minute_of(expires)
  local here = reserved[minute]
  if not here then
    here = { new = {} }
    reserved[minute] = here
  end
  local field = id .. reservation
  if here.new[field] then return here.new[field] end
  local bytes = not (minute == LATE_MINUTE and dirty.ticked) and call('HGET', of_minute(minute), field)
  if bytes then return (unpack_bytes('<i8', bytes)) end
  if minute ~= LATE_MINUTE then return nil end
  -- What other nodes booked is remembered until the lease is closed.
  local holder = lease_of(id) and process(process_of(id))
  for _, foreign in ipairs(holder and foreign_after(holder, 0) or {}) do
    if sub(foreign.bytes, 1, 16) == field then
      local _, _, _, _, amount = unpack_bytes(FOREIGN_RECORD, foreign.bytes)
      return amount
    end
  end
  return nil
end

-- Books a reservation, once. `elsewhere`: another process's lease that is to hear of it.
local function settle(booking, lease, excess, overdrawn, elsewhere)
  local minute = minute_of(booking.expires)
  reserved[minute].new[booking.lease .. booking.reservation] = booking.amount
  meta.minutes = max(meta.minutes, minute)
  if excess then
    local campaign = campaign_of(booking.campaign)
    campaign.excess = campaign.excess + booking.amount
    touch(campaign)
    return
  end
  local campaign, day = accounts_of(lease)
  if overdrawn then
    local lacks = max(booking.amount - charge(lease), 0)
    lease.granted = lease.granted + lacks
    commit_more(campaign, lacks)
    commit_more(day, lacks)
    move_accounts(campaign, day, 0, lacks)
  end
  lease.settled = lease.settled + booking.amount
  dirty.leases[lease] = true
  move_accounts(campaign, day, booking.amount, -booking.amount)
  if elsewhere then
    local incarnation = process_of(lease.id)
    local holder = process(incarnation)
    holder.last_foreign = holder.last_foreign + 1
    holder.foreign = holder.foreign + 1
    dirty.processes[holder] = true
    local bytes = pack(FOREIGN_RECORD, lease.id, booking.reservation, booking.exchange, booking.reserved, booking.amount,
      booking.expires)
    dirty.foreign[incarnation] = dirty.foreign[incarnation] or {}
    insert(dirty.foreign[incarnation], { number = holder.last_foreign, bytes = bytes })
    change(incarnation, 'f' .. pack('<I8', holder.last_foreign), bytes)
  end
end

-- Who pays a bill: its lease; where silent bids hold less than their price, the budget; or nobody but us.
local function cover(lease, booking)
  if not lease or booking.freed then return true, false end
  if charge(lease) >= booking.amount then return false, false end
  local campaign = campaign_of(booking.campaign)
  local strict = campaign and campaign.strict
  return strict, not strict
end

local function read_booking(body, at)
  local number, reservation, lease, campaign, exchange, most, amount, expires, flags, asked =
    unpack_bytes(BOOKING, body, at)
  return {
    number = number, reservation = reservation, lease = lease, campaign = campaign, exchange = exchange, reserved = most,
    amount = amount, expires = expires, freed = flags % 2 == 1, asked = flags >= 2 and asked or nil,
  }
end

-- A booking from a node's own ledger: it may have been acknowledged, so it is booked whatever the clock says. False: not yet.
local function book(incarnation, node, booking)
  if booking.number < node.booked then return true end
  local lease = lease_of(booking.lease)
  -- Its process may not have told yet that it holds the lease.
  if not lease and is_deaf() then return false end
  local campaign = campaign_of(booking.campaign)
  local known = campaign and campaign.alive
  -- What was booked when it was asked for has not been lost since; and a lease is closed only when all that was booked
  -- under it is settled.
  local done = booking.asked and (booking.asked == meta.epoch or not lease)
  if not done and not booked_for(booking.lease, booking.reservation, booking.expires) and known then
    if lease and lease.campaign ~= booking.campaign then lease = false end
    local excess, overdrawn = cover(lease, booking)
    local holder = lease and process_of(lease.id)
    local elsewhere = lease and not excess and holder ~= incarnation and not is_over(holder)
    settle(booking, lease, excess, overdrawn, elsewhere)
  end
  node.booked = booking.number + 1
  dirty.nodes[node] = true
  return true
end

-- Whether numbers grow, from `from` up to `upto`.
local function is_ordered(body, at, count, from, upto)
  for place = 0, count - 1 do
    local number = unpack_bytes('<I8', body, at + place * BOOKING_BYTES)
    if number < from or number >= upto then return false end
    from = number + 1
  end
  return true
end

-- A notice that only the authority can make safe, as another process made the bid.
local function ask(node, incarnation, booking)
  local before = booked_for(booking.lease, booking.reservation, booking.expires)
  if before then return BEFORE, before end
  if now > booking.expires or minute_of(booking.expires) == LATE_MINUTE then return EXPIRED, 0 end
  local lease, holder = lease_of(booking.lease), process(incarnation)
  local fits = lease and lease.campaign == booking.campaign and process_of(lease.id) == incarnation
  if not fits or not holder or holder.node ~= node then return NO_LEASE, 0 end
  local excess, overdrawn = cover(lease, booking)
  settle(booking, lease, excess, overdrawn, not excess)
  return SAFE, 0
end

-- After a memory was lost: what a process holds is as it says.
local function adopt(incarnation, body, first, count)
  local named = {}
  for place = 0, count - 1 do
    local at = first + place * SAID_BYTES
    local id = sub(body, at + 8, at + 15)
    if id ~= NONE then named[id] = true end
  end
  for _, id in ipairs(leases_of(incarnation)) do
    if not named[id] then orphans[id] = true end
  end
  for place = 0, count - 1 do
    local raw, raw_day, id, _, total, _, _, _, _, _, _, done = unpack_bytes(SAID, body, first + place * SAID_BYTES)
    local lease = id ~= NONE and process_of(id) == incarnation and lease_of(id)
    if id ~= NONE and process_of(id) == incarnation and not (done == 1 and not lease) then
      local more = total - (lease and lease.granted or 0)
      local campaign, day = campaign_of(raw), (unpack_bytes('<I4', raw_day))
      if more > 0 and (fund_day(campaign, day) or (campaign and day_of(campaign, day))) then
        local account = day_of(campaign, day)
        lease = lease or new_lease(id, incarnation, campaign, account, raw_day)
        if lease.campaign == raw and lease.day == raw_day then
          lease.granted = total
          dirty.leases[lease] = true
          commit_more(campaign, more)
          commit_more(account, more)
          move_accounts(campaign, account, 0, more)
        end
      end
    end
  end
  hear(incarnation)
  dirty.memory = true
end

-- Where the need of a process begins, in a row of them from `first` on.
local function find_need(bytes, first, raw_incarnation)
  local at = find(bytes, raw_incarnation, first, true)
  while at and (at - first) % NEED_BYTES ~= 0 do at = find(bytes, raw_incarnation, at + 1, true) end
  return at
end

-- Notes what a process asks of a campaign. What is older than a lease is at the end, as each is put at the front; sums are kept.
local function need(campaign, incarnation, demand, expected, exposed)
  local asked = campaign.asked
  local function leave_out(at)
    local _, _, its_demand, its_expected, its_exposed = unpack_bytes(NEED, asked, at)
    campaign.needs = campaign.needs - 1
    campaign.demand = campaign.demand - its_demand
    campaign.expected = campaign.expected - its_expected
    campaign.exposed = campaign.exposed - its_exposed
  end
  local last = #asked - NEED_BYTES + 1
  while last > 0 and now - unpack_bytes('<I8', asked, last + 4) > LEASE do
    leave_out(last)
    last = last - NEED_BYTES
  end
  asked = sub(asked, 1, last + NEED_BYTES - 1)
  local at = find_need(asked, 1, pack('<I4', incarnation))
  if at then
    leave_out(at)
    asked = sub(asked, 1, at - 1) .. sub(asked, at + NEED_BYTES)
  end
  campaign.asked = pack(NEED, incarnation, now, demand, expected, exposed) .. asked
  campaign.needs = campaign.needs + 1
  campaign.demand = campaign.demand + demand
  campaign.expected = campaign.expected + expected
  campaign.exposed = campaign.exposed + exposed
  touch(campaign)
end

-- floor(amount * millionths / 1e6) towards zero, exact beyond 2^53 on the way.
local function part_of(amount, millionths)
  local sign = amount < 0 and -1 or 1
  amount = amount * sign
  return sign * (floor(amount / 1000000) * millionths + floor(amount % 1000000 * millionths / 1000000))
end

-- A node that has shown no demand yet gets a little, so that it can show some.
local function share_of(demand, all, needs)
  if all == 0 then return floor(1000000 / needs) end
  if demand == 0 then return floor(125000 / needs) end
  local thousandths = floor(demand * 1000 / all)
  return thousandths * 1000 + floor((demand * 1000 - thousandths * all) * 1000 / all)
end

-- What processes may hold that have not said so since a memory was lost.
local function kept_back(campaign, funded)
  return funded and campaign.largest * unheard_count or 0
end

local function left(account)
  return account.budget - account.settled - account.charged
end

local function grant(campaign, account, incarnation, raw_day, lease, fresh, said_granted, wanted, least)
  local available = max(min(left(account), left(campaign)), 0) - kept_back(campaign, true)
  local part = available
  -- Several nodes: each takes a part of what is left, so that the last of a budget is spread thin and still spent.
  if campaign.needs > 1 then part = max(floor(available / (2 * campaign.needs)), least) end
  local since, grown = now, 0
  if lease and now - lease.since < LEASE then since, grown = lease.since, lease.grown end
  local room = floor(campaign.largest / 2) - grown
  local granted = lease and lease.granted or 0
  -- What it was granted and has not heard of is on its way.
  wanted = wanted - max(granted - said_granted, 0)
  local more = min(wanted, available, part, room)
  if more <= 0 or more < least then return lease end
  if not lease then
    -- The process draws the numbers, so that they stay its own whatever is lost here.
    if fresh == NONE or process_of(fresh) ~= incarnation or lease_of(fresh) then return lease end
    lease = new_lease(fresh, incarnation, campaign, account, raw_day)
  end
  lease.granted, lease.since, lease.grown = granted + more, since, grown + more
  dirty.leases[lease] = true
  move_accounts(campaign, account, 0, more)
  return lease
end

-- What others booked under a lease of which its process has not heard.
local function unseen(holder, id, seen)
  local sum = 0
  for _, foreign in ipairs(foreign_after(holder, seen)) do
    if sub(foreign.bytes, 1, 8) == id then
      local _, _, _, _, amount = unpack_bytes(FOREIGN_RECORD, foreign.bytes)
      sum = sum + amount
    end
  end
  return sum
end

local function any_lease(body, at, holder, seen, knows_all, grants, deaf)
  local raw, raw_day, said, fresh, granted, released, wanted, least, exposed, expected, demand, done, why =
    unpack_bytes(SAID, body, at)
  local incarnation, day = holder.incarnation, (unpack_bytes('<I4', raw_day))
  local campaign = campaign_of(raw)
  local funded = fund_day(campaign, day)
  -- Not the one it names: it may not have heard of it yet.
  local id = lease_for(incarnation, raw .. raw_day)
  local lease = id and lease_of(id)
  if lease and id == said and not deaf then
    -- What others booked under it and the node has not heard of, it may have freed: so much is not released.
    local total = min(released - unseen(holder, id, seen), lease.granted - lease.settled)
    local more = total - lease.released
    if more > 0 then
      lease.released = total
      dirty.leases[lease] = true
      local of, account = accounts_of(lease)
      move_accounts(of, account, 0, -more)
    end
    if done == 1 and knows_all then
      close(lease)
      lease = false
    end
  end
  local number = (unpack_bytes('<I4', raw))
  if why ~= 255 then stop(CAMPAIGN, number, why) end
  if not campaign then
    -- Never funded: there is nothing to answer for.
    return pack(ANSWER, number, day, NONE, 0, 0, 0, 0, expected, 1000000, -1)
  end
  local stopped = #stops > 0 and (is_stopped(CAMPAIGN, number) or is_stopped(ADVERTISER, advertiser()))
  need(campaign, incarnation, demand, expected, exposed)
  local account = day_of(campaign, day)
  if funded and grants and not stopped and wanted > 0 and done == 0 and day >= today - 1 and day <= today + 1 then
    lease = grant(campaign, account, incarnation, raw_day, lease, fresh, granted, wanted, least)
  end
  account = account or { budget = 0, settled = 0, charged = 0 }
  local of_life, of_life_settled = 0, 0
  if campaign.alive then
    of_life = left(campaign)
    of_life_settled = max(min(campaign.budget - campaign.settled, campaign.budget), 0)
  end
  local share = share_of(demand, campaign.demand, campaign.needs)
  local exposure = -1
  if funded and campaign.tolerance >= 0 then
    local room = account.budget - account.settled + part_of(account.budget, campaign.tolerance) - campaign.exposed
    exposure = max(exposed + part_of(room, share), 0)
  end
  return pack(ANSWER, number, day, lease and lease.id or NONE, lease and lease.granted or 0,
    min(left(account), of_life) - kept_back(campaign, funded),
    -- No more of it than what is left of the campaign's life.
    min(account.budget, account.settled + of_life_settled), account.settled, campaign.expected, share, exposure)
end

-- What `any_lease` does, where the campaign has one day, which is the one named and is funded, and the lease is there already and goes on
-- or there is none and none is made: then nothing but a few numbers changes, which go from bytes to bytes. Otherwise it changes
-- nothing and returns nothing. Only where all processes were heard, nothing is stopped and others booked nothing on leases of this one.
local function steady(body, at, raw, id, incarnation, raw_incarnation, grants)
  local bytes, lease = campaigns[raw], id ~= NONE and leases[id]
  if type(bytes) ~= 'string' or #bytes < ONE_DAY_BYTES or byte(bytes, LIFE_BYTES) ~= 1 then return nil end
  local number, day = unpack_bytes('<I4I4', body, at)
  local said_granted, freed, wanted, least, exposed, expected, demand, done, why = unpack_bytes(SAID_SUMS, body, at + SAID_AT)
  local may_grow = grants and wanted > 0 and day >= today - 1 and day <= today + 1
  if done == 1 or why ~= 255 or (not lease and (may_grow or id ~= NONE)) then return nil end
  local revision, strict, tolerance, daily, total, largest, alive, budget, ceiling, settled, charged, excess, epoch, needs,
    all_demand, all_expected, all_exposed, _, only_day, day_budget, day_ceiling, day_settled, day_charged, open =
    unpack_bytes(ONE_DAY, bytes)
  if only_day ~= day or alive == 0 or revision ~= meta.revision or epoch ~= meta.epoch
    or day_budget ~= daily or budget ~= total or (open == 0 and day < oldest_day()) then
    return nil
  end
  local granted, used, released, since, grown, current, of_campaign, of = 0, 0, 0, 0, 0, 0, 0, 0
  if lease then
    if type(lease) ~= 'string' then return nil end
    of_campaign, of, granted, used, released, since, grown, current = unpack_bytes(LEASE_NUMBERS, lease)
    if current == 0 or of_campaign ~= number or of ~= day then return nil end
  end

  local before, granted_before, released_before = charged, granted, released
  freed = min(freed, granted - used)
  if freed > released then
    charged, day_charged = charged - (freed - released), day_charged - (freed - released)
    released = freed
    if ceiling ~= budget then ceiling = max(budget, min(ceiling, settled + charged)) end
    if day_ceiling ~= daily then day_ceiling = max(daily, min(day_ceiling, day_settled + day_charged)) end
  end

  -- What is too old, and what it asked before: that is most often the oldest.
  local first, last, own = ONE_DAY_BYTES + 1, #bytes - NEED_BYTES + 1, false
  while last >= first do
    local who, when, its_demand, its_expected, its_exposed = unpack_bytes(NEED, bytes, last)
    local old = now - when > LEASE
    if not old and who ~= incarnation then break end
    needs, all_demand = needs - 1, all_demand - its_demand
    all_expected, all_exposed = all_expected - its_expected, all_exposed - its_exposed
    last, own = last - NEED_BYTES, own or who == incarnation
    if not old then break end
  end
  local others = sub(bytes, first, last + NEED_BYTES - 1)
  local own_at = not own and last >= first and find_need(others, 1, raw_incarnation)
  if own_at then
    local _, _, its_demand, its_expected, its_exposed = unpack_bytes(NEED, others, own_at)
    needs, all_demand = needs - 1, all_demand - its_demand
    all_expected, all_exposed = all_expected - its_expected, all_exposed - its_exposed
    others = sub(others, 1, own_at - 1) .. sub(others, own_at + NEED_BYTES)
  end
  needs, all_demand = needs + 1, all_demand + demand
  all_expected, all_exposed = all_expected + expected, all_exposed + exposed

  if may_grow then
    local available = max(min(daily - day_settled - day_charged, budget - settled - charged), 0)
    local part = available
    if needs > 1 then part = max(floor(available / (2 * needs)), least) end
    if now - since >= LEASE then since, grown = now, 0 end
    local more = min(wanted - max(granted - said_granted, 0), available, part, floor(largest / 2) - grown)
    if more > 0 and more >= least then
      granted, grown = granted + more, grown + more
      charged, day_charged = charged + more, day_charged + more
      if ceiling ~= budget then ceiling = max(budget, min(ceiling, settled + charged)) end
      if day_ceiling ~= daily then day_ceiling = max(daily, min(day_ceiling, day_settled + day_charged)) end
    end
  end

  local moved = (granted - granted_before) - (released - released_before)
  meta.committed = meta.committed + moved
  moved_by_steady = moved_by_steady + charged - before
  if settled < 0 or charged < 0 or settled + charged > ceiling or day_settled < 0 or day_charged ~= charged
    or day_settled + day_charged > day_ceiling or used < 0 or released < 0 or granted - used - released < 0 then
    sound = false
  end
  bytes = pack(ONE_DAY_AND_NEEDS, revision, strict, tolerance, daily, total, largest, 1, budget, ceiling, settled, charged, excess,
    epoch, needs, all_demand, all_expected, all_exposed, 1, day, daily, day_ceiling, day_settled, day_charged, open,
    incarnation, now, demand, expected, exposed, others)
  campaigns[raw] = bytes
  local size = #fields_of_steady
  fields_of_steady[size + 1], fields_of_steady[size + 2] = raw, bytes
  if granted ~= granted_before or released ~= released_before then
    lease = pack(LEASE_NUMBERS, number, day, granted, used, released, since, grown, 1)
    leases[id] = lease
    size = #leases_of_steady
    leases_of_steady[size + 1], leases_of_steady[size + 2] = id, lease
  end

  local share, exposure = share_of(demand, all_demand, needs), -1
  if tolerance >= 0 then
    exposure = max(exposed + part_of(daily - day_settled + part_of(daily, tolerance) - all_exposed, share), 0)
  end
  return pack(ANSWER, number, day, id, granted, min(daily - day_settled - day_charged, budget - settled - charged),
    min(daily, day_settled + max(min(budget - settled, budget), 0)), day_settled, all_expected, share, exposure)
end

local REPORT = '<I2I4I4I8I8I8I8I8BI8I8I8I4I4I4'
local REPORT_BYTES = 87

local function report(keys, args)
  local body = args[2]
  if #body < REPORT_BYTES then
    return malformed(keys)
  end
  local node_id, incarnation, epoch, number, seen, from, upto, next_booking, flags, horizon, first_booking, origin, lease_count,
    booking_count, ask_count, first = unpack_bytes(REPORT, body)
  local renews, full, last = flags % 2 == 1, flags % 4 >= 2, flags >= 4
  if #body ~= REPORT_BYTES + lease_count * SAID_BYTES + booking_count * BOOKING_BYTES + ask_count * (14 + BOOKING_BYTES) then
    return malformed(keys)
  end
  local raw_node, raw_incarnation = pack('<I2', node_id), pack('<I4', incarnation)
  local fields, said, own = { 'n' .. raw_node, 'p' .. raw_incarnation }, {}, {}
  for place = 0, lease_count - 1 do
    local at = first + place * SAID_BYTES
    fields[place + 3] = sub(body, at, at + 3)
    -- The lease it names, or else the one it has for this day.
    local id = sub(body, at + 8, at + 15)
    said[place + 1] = id
    own[place + 1] = id == NONE and 'o' .. sub(body, at, at + 7) or id
  end
  local wrong, found = enter(keys, args, fields)
  if wrong then return wrong end
  nodes[node_id] = read_node(node_id, found[1])
  processes[incarnation] = read_process(incarnation, found[2])
  for place = 0, lease_count - 1 do
    local raw = fields[place + 3]
    campaigns[raw] = found[place + 3]
  end
  reporter = incarnation
  local unnamed = {}
  for from_here = 1, lease_count, AT_ONCE do
    local upto_here = min(from_here + AT_ONCE - 1, lease_count)
    local part = call('HMGET', of_process(incarnation), unpack(own, from_here, upto_here))
    for place = from_here, upto_here do
      local bytes = part[place - from_here + 1]
      if said[place] == NONE then
        unnamed[place] = bytes
      elseif bytes then
        leases[said[place]] = bytes
      end
    end
  end

  tick()
  local node = node_of(node_id)
  local holder = process(incarnation)
  if not holder then
    local newest = node.incarnations[#node.incarnations]
    if node.retired == 0 and not (newest and newest > incarnation) then
      holder = begin(incarnation, node_id, horizon, first_booking, origin)
    end
  end
  local standing, till = CURRENT, 0
  if not holder or holder.node ~= node_id then
    standing = UNKNOWN
  elseif is_over(incarnation) then
    standing = REPLACED
  elseif meta.learning > 0 and now <= meta.learning then
    standing, till = LEARNING, meta.learning
  elseif epoch ~= meta.epoch or (unheard[incarnation] and not full) then
    -- It has not heard of this epoch, or has not told in it all that it holds.
    standing, till = LEARNING, now
  end
  local asked, foreign, answers, answered_stops, renewed = {}, {}, {}, '', 0
  if standing == CURRENT or standing == LEARNING then
    local current = epoch == meta.epoch
    if current and full and unheard[incarnation] then adopt(incarnation, body, first, lease_count) end
    local at = first + lease_count * SAID_BYTES
    if not unheard[incarnation] and from <= node.booked and is_ordered(body, at, booking_count, from, upto) then
      local all = true
      for place = 0, booking_count - 1 do
        all = book(incarnation, node, read_booking(body, at + place * BOOKING_BYTES))
        if not all then break end
      end
      -- The bookings in between are other advertisers'.
      if all and upto > node.booked then
        node.booked = upto
        dirty.nodes[node] = true
      end
    end
    at = at + booking_count * BOOKING_BYTES
    for place = 1, ask_count do
      local ticket, its_node, its_incarnation, booking_at = unpack_bytes('<c8I2I4', body, at)
      local answer, amount = ask(its_node, its_incarnation, read_booking(body, booking_at))
      asked[place] = ticket .. pack('<Bi8', answer, amount)
      at = at + 14 + BOOKING_BYTES
    end
    local overtaken = number <= holder.heard
    holder.heard = max(holder.heard, number)
    dirty.processes[holder] = true
    -- What it says otherwise of leases is older than what is known, or knows nothing of what was lost.
    if current and not overtaken then
      for place, one in ipairs(foreign_after(holder, seen)) do
        if place > FOREIGN then break end
        foreign[place] = pack('<I8', one.number) .. one.bytes
      end
      -- Nothing is closed under what was booked and has not been told here, or there.
      local knows_all = seen == holder.last_foreign and next_booking <= node.booked
      local grants = standing == CURRENT and not last
      local deaf = is_deaf()
      local calm = unheard_count == 0 and #stops == 0 and holder.foreign == 0
      for place = 1, lease_count do
        local at, id, answer = first + (place - 1) * SAID_BYTES, said[place], nil
        if calm and not unnamed[place] then
          answer = steady(body, at, fields[place + 2], id, incarnation, raw_incarnation, grants)
        end
        if not answer then
          answer = any_lease(body, at, holder, seen, knows_all, grants, deaf)
          calm = calm and #stops == 0
        end
        answers[place] = answer
      end
      if standing == CURRENT and renews then
        renewed = 1
        holder.till = max(holder.till, now + LEASE + EPSILON)
      end
      answered_stops = write_stops()
      if last and knows_all then
        holder.ended = true
        meta.restless = 1
      end
    end
  end
  if not commit() then return header(MISMATCH) end
  return concat({
    header(OK),
    pack('<BI8I8BI4I4I4I4', standing, till, node.booked, renewed, #asked, #foreign, #answers, #answered_stops / 6),
    concat(asked), concat(foreign), concat(answers), answered_stops,
  })
end

-- ── What else is said to it ──────────────────────────────────────────────────────────────────────────────────────────────

-- The campaigns that may spend. One that is not listed keeps its accounts and gets nothing. An older list changes nothing.
local LISTED = '<c4Bi4i8i8i8'
local LISTED_BYTES = 33

local function fund(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  local body = args[2]
  if #body < 8 or (#body - 8) % LISTED_BYTES ~= 0 then return refused(MALFORMED) end
  tick()
  local revision = unpack_bytes('<I8', body)
  if revision <= meta.revision then return refused(OLD_LIST) end
  meta.revision = revision
  local since = max(floor(now / 86400000) - 1, 0)
  for at = 9, #body, LISTED_BYTES do
    local raw, strict, tolerance, daily, total, largest = unpack_bytes(LISTED, body, at)
    local campaign = campaign_of(raw)
    if not campaign then
      campaign = {
        raw = raw, alive = false, budget = 0, ceiling = 0, settled = 0, charged = 0, excess = 0, needs = 0, demand = 0,
        expected = 0, exposed = 0, days = {}, asked = '', before = 0, dirty = false,
      }
      campaigns[raw] = campaign
    end
    campaign.revision, campaign.strict, campaign.tolerance = revision, strict == 1, tolerance
    campaign.daily, campaign.total, campaign.largest = daily, total, largest
    touch(campaign)
    -- Days that are under way somewhere: zones are up to 14 hours ahead of, and 12 behind, ours.
    local under_way = {}
    for _, account in ipairs(campaign.days) do
      if account.day >= since then under_way[#under_way + 1] = account.day end
    end
    for _, day in ipairs(under_way) do fund_day(campaign, day) end
  end
  if not commit() then return header(MISMATCH) end
  return header(OK)
end

-- Every hash of the advertiser: a count of pairs, then pairs, each with its length. The reverse is `restore`.
local function dump()
  local parts = {}
  local function add(where, suffix)
    local all = call('HGETALL', where)
    if #all == 0 then return end
    parts[#parts + 1] = pack('<I4', #suffix) .. suffix .. pack('<I4', #all / 2)
    for _, one in ipairs(all) do parts[#parts + 1] = pack('<I4', #one) .. one end
  end
  add(key, '')
  for _, incarnation in ipairs(all_processes()) do add(of_process(incarnation), ':p' .. incarnation) end
  add(of_minute(LATE_MINUTE), ':r' .. LATE_MINUTE)
  for minute = meta.forgotten + 1, meta.minutes do add(of_minute(minute), ':r' .. minute) end
  return concat(parts)
end

-- Puts a dump back where nothing is. All of it is read before any is written.
local function restore(bytes)
  local at, hashes = 1, {}
  local function take_one()
    local length = unpack_bytes('<I4', bytes, at)
    local one = sub(bytes, at + 4, at + 3 + length)
    if #one ~= length then error('a checkpoint that was cut short') end
    at = at + 4 + length
    return one
  end
  while at <= #bytes do
    local suffix = take_one()
    local count = unpack_bytes('<I4', bytes, at)
    at = at + 4
    local all = {}
    for place = 1, 2 * count do all[place] = take_one() end
    hashes[#hashes + 1] = { suffix = suffix, all = all }
  end
  for _, hash in ipairs(hashes) do call('UNLINK', key .. hash.suffix) end
  for _, hash in ipairs(hashes) do
    set(key .. hash.suffix, hash.all)
    local minute = string.match(hash.suffix, '^:r(%d+)$')
    if minute then
      call('PEXPIREAT', key .. hash.suffix, max((tonumber(minute) + 2) * 60000, now) + EPSILON + 60000)
    end
  end
end

-- Goes on in a new epoch, which the register of epochs has by now: Authority::after_loss. ARGV[1] carries the new epoch and the
-- server; ARGV[2] until when this may be done, and the processes that the register names, read after the epoch was set;
-- ARGV[3] a checkpoint, used if there is nothing here. In the first epoch there is nothing to learn: only who set it may open it.
local function open(keys, args)
  if #args[1] < 53 or #args[2] < 8 or (#args[2] - 8) % 31 ~= 0 then
    return malformed(keys)
  end
  local format, epoch, _, id = unpack_bytes('<BI4I8c40', args[1])
  local body = args[2]
  enter(keys, args, {})
  if format ~= FORMAT then return refused(MALFORMED) end
  if now > unpack_bytes('<I8', body) then return refused(LATE) end
  if not serves(id) then return lost(OTHER_SERVER) end
  if meta and meta.epoch >= epoch then
    -- Somebody else opened it; and if on another server, that is lost too.
    if meta.epoch > epoch or meta.server ~= id then return lost(OTHER_EPOCH) end
    return header(OK)
  end
  if not meta and #(args[3] or '') > 0 then
    restore(args[3])
    enter(keys, args, {})
    if meta and meta.epoch >= epoch then
      call('UNLINK', key)
      return refused(MALFORMED)
    end
  end
  if not meta then
    take(pack(META, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    stored.stops = ''
    stops, unheard, unheard_count, orphans = {}, {}, 0, {}
  end
  meta.epoch, meta.server, meta.restless = epoch, id, 1
  orphans, unheard, unheard_count = {}, {}, 0
  dirty.memory = true
  if epoch > 1 then
    meta.learning = now + LEASE + EPSILON
    local known, emptied = {}, {}
    for _, incarnation in ipairs(all_processes()) do known[incarnation] = true end
    for at = 9, #body, 31 do
      local incarnation, node_id, horizon, first_booking, next_booking, retired =
        unpack_bytes('<I4I2I8I8I8B', body, at)
      if not known[incarnation] then
        -- What may be left of it is of a memory that is gone.
        insert(emptied, incarnation)
        begin(incarnation, node_id, horizon, first_booking, next_booking)
      end
      known[incarnation] = true
      local node = node_of(node_id)
      if retired == 1 and node.retired == 0 then
        node.retired = now
        dirty.nodes[node] = true
      end
    end
    for incarnation in pairs(known) do
      unheard[incarnation] = true
      unheard_count = unheard_count + 1
      -- Bids of processes that are never heard of again may have been made under renewals that were lost.
      local one = process(incarnation)
      one.till = max(one.till, meta.learning)
      one.heard = 0
      dirty.processes[one] = true
    end
    for _, incarnation in ipairs(emptied) do call('UNLINK', of_process(incarnation)) end
  end
  if not commit() then return header(MISMATCH) end
  return header(OK)
end

local function checkpoint(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  return header(OK) .. dump()
end

local function stop_all(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  if #args[2] ~= 6 then return refused(MALFORMED) end
  local scope, id, why = unpack_bytes('<BI4B', args[2])
  stop(scope, id, why)
  if not commit() then return header(MISMATCH) end
  return header(OK)
end

-- Lets it bid again; says whether it was stopped.
local function resume(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  if #args[2] ~= 6 then return refused(MALFORMED) end
  local scope, id = unpack_bytes('<BI4B', args[2])
  local was = 0
  for place, one in ipairs(stops) do
    if one.scope == scope and one.id == id then
      table.remove(stops, place)
      dirty.stops, was = true, 1
      break
    end
  end
  if not commit() then return header(MISMATCH) end
  return header(OK) .. pack('<B', was)
end

-- Gives a node up: what only its own ledger holds will never be booked, and its leases end after the last bid's H2. One that never
-- reported here is given up as well: a process of it may still come.
local function retire(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  if #args[2] ~= 2 then return refused(MALFORMED) end
  local node = node_of((unpack_bytes('<I2', args[2])))
  if node.retired > 0 then return refused(GONE) end
  local count, charged = 0, 0
  for _, incarnation in ipairs(node.incarnations) do
    if not is_over(incarnation) and now <= process(incarnation).till then return refused(ALIVE) end
    for _, id in ipairs(leases_of(incarnation)) do
      count, charged = count + 1, charged + charge(lease_of(id))
    end
  end
  node.retired = now
  dirty.nodes[node] = true
  meta.restless = 1
  if not commit() then return header(MISMATCH) end
  return header(OK) .. pack('<I8i8', count, charged)
end

local function all_stops(keys, args)
  local wrong = enter(keys, args, {})
  if wrong then return wrong end
  return header(OK) .. write_stops()
end

local function register(name, step, flags)
  local function callback(keys, args)
    if not call then bind() end
    return step(keys, args)
  end
  redis.register_function { function_name = name, callback = callback, flags = flags }
end

local READS = { 'no-writes' }

register('corebid_report', report, {})
register('corebid_fund', fund, {})
register('corebid_open', open, {})
register('corebid_stop', stop_all, {})
register('corebid_resume', resume, {})
register('corebid_retire', retire, {})
register('corebid_checkpoint', checkpoint, READS)
register('corebid_stops', all_stops, READS)
