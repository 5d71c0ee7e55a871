'use strict';

// Generators of requests: what the description allows, what is next to it, and
// what nobody should send.

const crypto = require('crypto');

const fc = require('fast-check');

const CHARACTERS = ['"', '\\', '\0', '\n', '\x7f', '\ud800', '\udc00', 'é',
                    '\u{1f600}', '\u2028', '\ufeff', '٣', '+', '%', '_'];

const BROKEN = ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xef\xbb\xbf', '\0', '\\u',
                '\\ud800', '[', '{', '"', ',', '}', 'NaN', '-', '1e999', '/**/']
    .map((bytes) => Buffer.from(bytes, 'latin1'));

const TIMES = ['2024-02-29T23:59:59.123456789Z', '0001-01-01T00:00:00Z',
               '9999-12-31T23:59:59.9Z', '2025-02-29T00:00:00Z',
               '0000-01-01T00:00:00Z', '2025-13-01T00:00:00Z',
               '2025-04-31T00:00:00Z', '2025-01-15T24:00:00Z',
               '2025-01-15T23:59:60Z', '2025-01-15T10:00:00.1234567890Z',
               '2025-01-15t10:00:00z', '2025-01-15T10:00:00+00:00',
               '2025-01-15T10:00:00.Z', '2025-01-15 10:00:00Z',
               '2025-01-15T10:00:00Z\n', '２025-01-15T10:00:00Z', ''];

const FIELDS = ['message_id', 'from', 'to', 'ts', 'text', 'type', 'raw',
                'created_at', 'cursor'];

const NUMBERS = ['+1', '+', '1', '', '+1\n', '++1', '+١', '+1 ', '+12.5',
                 '+' + '9'.repeat(300)];

// one of these goes wrong more often than not

const TARGETS = ['/', '/messages/', '//messages', '/Messages', '/%6dessages',
                 '/st%61ts', '/health%2Flive', '/health', '/docs/', '/docs/x',
                 '/docs/index.html', '/docs/swagger-ui.css/', '/webhook%20',
                 '/console', '/console/x', '/console/index.html',
                 '/webhook?x', '/stats?', '/./stats', '/x/../stats', '/%2e/x',
                 '/openapi.json/', '/openapi.json?x=1', '/.error/400',
                 '/docs/../webhook', '/docs/%2e%2e/webhook', '/@404',
                 '/messages%3Flimit=1', '/openapi.yaml', '/docs%2fdocs.js',
                 '/docs//docs.js', '/\xff', '/metrics#x', '/%00', '/%zz',
                 '/../stats', '*', 'stats', 'http://a/stats', '/nope'];

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS',
                 'TRACE', 'CONNECT', 'PROPFIND', 'FOO', 'get'];

const LINES = ['X-Request-ID: a.B_9-', 'X-Request-ID: a b', 'X-Request-ID:',
               'X-Request-ID: ' + 'x'.repeat(129), 'X-Request-ID: "\\',
               'Accept: text/html', 'Accept-Encoding: gzip, br',
               'Range: bytes=0-9', 'Range: bytes=99999999-', 'If-Match: "x"',
               'If-Match: *', 'If-None-Match: *', 'If-None-Match: "x"',
               'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT',
               'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:10 GMT',
               'Expect: nothing', 'Expect: 100-continue', 'X-Signature: 123',
               'Content-Type: text/plain', 'Content-Length: 2000000',
               'Content-Length: x', 'Content-Length: -1', 'Accept: text/csv',
               'Last-Event-ID: 0', 'Last-Event-ID: a b', 'Last-Event-ID:',
               'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked',
               'Host: b', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c',
               'Origin: http://b', 'Cookie: a=b', 'X_Under: score', 'bad line',
               'X-Long: ' + 'x'.repeat(70000)];


function sign(body, secret) {
    return crypto.createHmac('sha256', secret).update(body).digest('hex');
}


const character = fc.oneof(fc.constantFrom(...CHARACTERS),
                           fc.string({ unit: 'binary', maxLength: 1 }));

const text = fc.oneof(fc.string({ unit: 'binary' }),
                      fc.array(character).map((all) => all.join('')));

const digit = fc.constantFrom(...'0123456789');

const number = fc.string({ unit: digit, minLength: 1, maxLength: 20 })
    .map((digits) => `+${digits}`);

const time = fc.tuple(
    fc.date({ min: new Date('0001-01-01'), noInvalidDate: true,
              max: new Date('9999-12-31T23:59:59Z') }),
    fc.option(fc.string({ unit: digit, minLength: 1, maxLength: 9 })))
    .map(([date, fraction]) => date.toISOString().replace(/\.[0-9]+Z$/,
        fraction === null ? 'Z' : `.${fraction}Z`));

// long texts on both sides of the limit

const long = fc.tuple(fc.constantFrom('a', 'é', '\u{1f600}', '\n'),
                      fc.integer({ min: 4094, max: 4098 }))
    .map(([unit, length]) => unit.repeat(length));

// what a field may be, and what it may not

const fields = {
    message_id: [fc.string({ minLength: 1 }), text],
    from: [number, fc.constantFrom(...NUMBERS)],
    to: [number, fc.constantFrom(...NUMBERS)],
    ts: [time, fc.constantFrom(...TIMES)],
    text: [fc.option(text), long],
};


// most fields are right, so that a message has one fault, or none

const message = fc.record(
    Object.fromEntries(Object.entries(fields).map(([name, [good, edge]]) =>
        [name, fc.oneof({ weight: 20, arbitrary: good },
                        { weight: 2, arbitrary: edge },
                        { weight: 1, arbitrary: fc.jsonValue() })])),
    { requiredKeys: [] });

const complete = fc.record(
    Object.fromEntries(Object.entries(fields).map(([name, [good, edge]]) =>
        [name, fc.oneof({ weight: 20, arbitrary: good },
                        { weight: 1, arbitrary: edge })])));

const unknown = fc.dictionary(text, fc.jsonValue(), { maxKeys: 2 });

const body = fc.oneof(
    { weight: 8, arbitrary: complete },
    { weight: 4, arbitrary: message },
    { weight: 4, arbitrary: fc.tuple(unknown, complete)
        .map(([more, known]) => ({ ...more, ...known })) },
    { weight: 1, arbitrary: fc.jsonValue() });


// a good body that something has happened to, or no body at all

const mangled = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map(Buffer.from),
    fc.tuple(complete.map((value) => Buffer.from(JSON.stringify(value))),
             fc.nat(), fc.nat(4), fc.constantFrom(...BROKEN))
        .map(([bytes, at, length, what]) => {
            const start = at % (bytes.length + 1);

            return Buffer.concat([bytes.subarray(0, start), what,
                                  bytes.subarray(start + length)]);
        }));


// of GET /messages, as the description allows them

const query = fc.record({
    limit: fc.integer({ min: 1, max: 100 }).map(String),
    offset: fc.oneof(fc.nat(3).map(String),
                     fc.bigInt(0n, 2n ** 63n - 1n).map(String)),
    from: fc.oneof(number, text),
    since: fc.oneof(time, fc.constant('')),
    until: fc.oneof(time, fc.constant('')),
    q: text,
    id: text,
    fields: fc.shuffledSubarray(FIELDS).map((names) => names.join()),
    order: fc.constantFrom('asc', 'desc', ''),
}, { requiredKeys: [] });

const hostileQuery = fc.array(fc.tuple(
    fc.constantFrom('limit', 'offset', 'from', 'since', 'until', 'q', 'id',
                    'fields', 'order', 'after', 'type', 'format', 'Limit', 'x',
                    ''),
    fc.oneof(text, fc.bigInt().map(String), fc.integer().map(String),
             fc.array(fc.constantFrom(...FIELDS, '', 'x'), { maxLength: 3 })
                 .map((names) => names.join()),
             fc.constantFrom(...TIMES, ...NUMBERS, 'asc', 'DESC', 'csv', 'sheet',
                             'ndjson', 'CSV', ' 1 ', '1.0', '-0', '1e1',
                             '101', '0', '-1', '9223372036854775808'))),
    { maxLength: 6 });


// bytes of a target, of which none ends it

function encode(pairs) {
    return pairs.map(([name, value]) => `${name}=`
        + encodeURIComponent(value.toWellFormed ? value.toWellFormed()
            : value.replace(/\p{Surrogate}/gu, '\ufffd'))).join('&');
}


const target = (paths) => fc.oneof(
    fc.constantFrom(...paths, ...TARGETS),
    fc.tuple(fc.constantFrom(...paths),
             fc.uint8Array({ maxLength: 12 })).map(([path, bytes]) =>
        path + Buffer.from(bytes).toString('latin1')
            .replace(/[\0-\x20\x7f]/g, '%')));

const anything = (paths) => fc.record({
    method: fc.constantFrom(...METHODS),
    target: target(paths),
    headers: fc.uniqueArray(fc.constantFrom(...LINES), { maxLength: 3 }),
});


// bytes that once were a request

const bytes = (paths) => fc.tuple(
    fc.constantFrom(...paths), fc.constantFrom(...METHODS),
    fc.array(fc.tuple(fc.nat(), fc.nat(3),
                      fc.constantFrom(...BROKEN, Buffer.from('\r\n'),
                                      Buffer.from(' '), Buffer.from('HTTP/2'))),
             { maxLength: 3, minLength: 1 }))
    .map(([path, method, changes]) => {
        const start = Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: a\r\n`
                                  + 'Connection: close\r\n\r\n');

        return changes.reduce((all, [at, length, what]) => {
            const from = at % (all.length - 4);

            return Buffer.concat([all.subarray(0, from), what,
                                  all.subarray(from + length)]);
        }, start);
    });


module.exports = { anything, body, bytes, encode, hostileQuery, mangled, query,
                   sign };
