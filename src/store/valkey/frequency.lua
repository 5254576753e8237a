#!lua name=corebid_frequency

-- Counts of a user's impressions: one hash for each user, `freq:{<user>}`.
--
--   field                      value
--   c<window><campaign>        period * 65536 + times        window: h, d, w, l (hour, day, week, lifetime)
--   r<window><campaign>.<n>    the same, of the campaign's n-th creative
--   a<window><advertiser>      the same, of all campaigns of an advertiser
--   n<node>                    the number of the node's last booking that was counted
--
-- A count of a period that is over is no count: it is replaced by the next of its kind. The key expires when the last of its
-- counts does.

local PERIOD = 65536
local MOST = PERIOD - 1

-- Makes room: the counts that end first go, those that are over among them.
local function make_room(key, most)
    local fields = redis.call('HGETALL', key)
    if #fields / 2 <= most then
        return
    end
    local seconds = { h = 3600, d = 86400, w = 7 * 86400 }
    local ends = {}
    for at = 1, #fields, 2 do
        local kind, window = fields[at]:sub(1, 1), fields[at]:sub(2, 2)
        if kind ~= 'n' then
            local period = math.floor((tonumber(fields[at + 1]) or 0) / PERIOD)
            local length = seconds[window]
            ends[#ends + 1] = { length and (period + 1) * length or math.huge, fields[at] }
        end
    end
    -- Of those that never end, any; by name, so that every server does the same.
    table.sort(ends, function(one, other)
        if one[1] ~= other[1] then
            return one[1] < other[1]
        end
        return one[2] < other[2]
    end)
    for at = 1, math.min(#fields / 2 - most, #ends) do
        redis.call('HDEL', key, ends[at][2])
    end
end

-- KEYS: the user's. ARGV: node, number of the booking, most fields, then for each count its field, its period, and when it ends
-- (Unix time, s). Replies with the counts as they are now, or with nothing if the booking was counted before.
local function count(keys, args)
    local key, node, number = keys[1], 'n' .. args[1], tonumber(args[2])
    local last = redis.call('HGET', key, node)
    if last and (tonumber(last) or 0) >= number then
        return {}
    end
    local set, counts, ends = { node, args[2] }, {}, 0
    for at = 4, #args, 3 do
        local field, period = args[at], tonumber(args[at + 1])
        ends = math.max(ends, tonumber(args[at + 2]))
        local value = tonumber(redis.call('HGET', key, field) or 0) or 0
        local times = 0
        if math.floor(value / PERIOD) == period then
            times = value % PERIOD
        end
        -- A bill that comes after its period is over takes nothing from the one under way.
        if math.floor(value / PERIOD) <= period then
            times = math.min(times + 1, MOST)
            set[#set + 1] = field
            set[#set + 1] = string.format('%.0f', period * PERIOD + times)
        end
        counts[#counts + 1] = times
    end
    redis.call('HSET', key, unpack(set))
    make_room(key, tonumber(args[3]))
    if redis.call('EXPIRETIME', key) < ends then
        redis.call('EXPIREAT', key, string.format('%.0f', ends))
    end
    return counts
end

redis.register_function('freq_count', count)
