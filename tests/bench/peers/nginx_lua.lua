-- SPDX-License-Identifier: Apache-2.0
-- So many images a day for each key, counted in Redis by one script call.  Loaded once; the connections are pooled.
local redis = require "nginx.redis"
local cjson = require "cjson.safe"

local LIMIT = @per_day@
local DAY_S = 86400

-- Counts n more images where the limit allows it: gives what is left, or -1.
local SCRIPT = [[
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local n = tonumber(ARGV[1])
local limit = tonumber(ARGV[2])
if used + n > limit then
    return -1
end
used = redis.call('INCRBY', KEYS[1], n)
if used == n then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return limit - used
]]
local DIGEST = ngx.sha1_bin(SCRIPT):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)

local REFUSAL = cjson.encode({
    error = {
        message = "You have used all images of today.",
        type = "insufficient_quota",
        param = cjson.null,
        code = "insufficient_quota",
    },
}) .. "\n"

local M = { SCRIPT = SCRIPT }

local function answer(status, text)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #text
    ngx.print(text)
    return ngx.exit(status)
end

local function decide(key, images)
    local red = redis:new()
    red:set_timeout(2000)
    local ok, err = red:connect("127.0.0.1", @redis_port@)
    if not ok then
        return nil, err
    end
    local left
    left, err = red:evalsha(DIGEST, 1, key, images, LIMIT, DAY_S)
    if not left and err and err:find("NOSCRIPT", 1, true) then
        left, err = red:eval(SCRIPT, 1, key, images, LIMIT, DAY_S)
    end
    if not left then
        return nil, err
    end
    red:set_keepalive(60000, 256)
    return left
end

function M.check()
    local account = ngx.var.http_authorization
    if not account then
        return answer(401, '{"error":{"message":"No key."}}\n')
    end
    ngx.req.read_body()
    local body = cjson.decode(ngx.req.get_body_data() or "")
    if not body then
        return answer(400, '{"error":{"message":"The body is not JSON."}}\n')
    end
    local key = "quota:" .. math.floor(ngx.time() / DAY_S) .. ":" .. account
    local left, err = decide(key, tonumber(body.n) or 1)
    if not left then
        ngx.log(ngx.ERR, "redis: ", err)
        return answer(503, '{"error":{"message":"image generation unavailable"}}\n')
    end
    if left < 0 then
        ngx.header["Retry-After"] = DAY_S - ngx.time() % DAY_S
        return answer(429, REFUSAL)
    end
end

return M
