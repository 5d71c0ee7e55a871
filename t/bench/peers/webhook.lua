-- The receiver in the Lua of nginx: a commit a request, in the event loop.

local ffi = require "ffi"
local cjson = require "cjson"
local DBI = require "DBI"

ffi.cdef [[
    typedef struct evp_md_st EVP_MD;
    const EVP_MD *EVP_sha256(void);
    unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len,
        const unsigned char *data, size_t n, unsigned char *out,
        unsigned int *len);
]]

local ok = cjson.encode({ status = "ok" })
local digest = ffi.new("unsigned char[64]")

local secret, db, insert

local M = {}


-- before the workers, which would wait for each other

function M.create(file)
    local db = assert(DBI.Connect("SQLite3", file))

    db:autocommit(true)

    for _, sql in ipairs {
        "PRAGMA journal_mode = WAL",
        [[CREATE TABLE messages (
            message_id TEXT PRIMARY KEY, from_msisdn TEXT NOT NULL,
            to_msisdn TEXT NOT NULL, ts TEXT NOT NULL, text TEXT,
            created_at TEXT NOT NULL)]],
        "CREATE INDEX by_ts ON messages (ts, message_id)",
        "CREATE INDEX by_from ON messages (from_msisdn)"
    } do
        assert(DBI.Do(db, sql))
    end

    db:close()
end


function M.open(file, key)
    secret = key
    db = assert(DBI.Connect("SQLite3", file))
    db:autocommit(true)

    assert(DBI.Do(db, "PRAGMA busy_timeout = 30000"))
    assert(DBI.Do(db, "PRAGMA synchronous = FULL"))

    insert = assert(db:prepare(
        "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?)"))
end


local function signature(body)
    ffi.C.HMAC(ffi.C.EVP_sha256(), secret, #secret, body, #body, digest, nil)

    return (ffi.string(digest, 32):gsub(".", function(c)
        return string.format("%02x", c:byte())
    end))
end


local function number(value)
    return type(value) == "string" and value:find("^%+[0-9]+$")
end


local function valid(m)
    return type(m) == "table"
        and type(m.message_id) == "string" and m.message_id ~= ""
        and number(m.from) and number(m.to)
        and type(m.ts) == "string"
        and ngx.re.find(m.ts, "^[0-9-]{10}T[0-9:]{8}(\\.[0-9]{1,9})?Z$", "jo")
        and (m.text == nil or type(m.text) == "string")
end


local function answer(status, text)
    ngx.status = status
    ngx.say(text)
end


function M.handle()
    ngx.req.read_body()

    local body = ngx.req.get_body_data() or ""

    if signature(body) ~= ngx.var.http_x_signature then
        return answer(401, '{"detail":"invalid signature"}')
    end

    local parsed, m = pcall(cjson.decode, body)

    if not parsed or not valid(m) then
        return answer(422, '{"detail":[]}')
    end

    if not insert:execute(m.message_id, m.from, m.to, m.ts, m.text,
                          ngx.utctime())
    then
        return answer(503, '{"detail":"cannot store"}')
    end

    answer(200, ok)
end


return M
