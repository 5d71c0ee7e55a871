'use strict';

// property.js JSON: asks the running servers that JSON names, and judges each
// answer by the description.  Prints a line for each property.

const assert = require('assert');

const fc = require('fast-check');

const { exchange, method, request } = require('./client');
const { Description } = require('./description');
const requests = require('./requests');

// good: a port; unready: one whose store is no database, without Swagger UI;
// secretless: one without a secret; guarded: one that wants a token; foreign: an
// address that may not read, if there is one

const { file, good, unready, secretless, guarded, foreign, secret } =
    JSON.parse(process.argv[2]);

const SEED = 20260115;

// no request provokes a fault of the server itself

const UNPROVOKED = ['500', ...(foreign ? [] : ['403'])];

const runs = Number(process.env.OPENAPI_RUNS || 400);
const seed = Number(process.env.OPENAPI_SEED
    || (process.env.OPENAPI_RUNS ? Date.now() % 2 ** 31 : SEED));

// a path of the description, as one that there is

function example(path) {
    return path.replace('docs/{file}', 'docs/docs.js')
        .replace('console/{file}', 'console/console.js');
}

const description = new Description(file);
const paths = Object.keys(description.doc.paths)
    .map(example);


// a server that closes before it has read all may take its answer along

async function insist(to, bytes, tries = 5) {
    const answer = await exchange(to, bytes);

    assert(answer || tries > 1, 'no answer');

    return answer || insist(to, bytes, tries - 1);
}


// where the machine stands still, or its disk, a 503 is right: then again, as a
// sender would

async function ask(to, method, target, headers, body, tries = 5) {
    const answer = await insist(to, request(method, target, headers, body));

    assert.deepStrictEqual(description.judge(method, target, answer), []);

    if (answer.status !== 503 || to.port !== good || tries === 1) {
        return answer;
    }

    await new Promise((resolve) => { setTimeout(resolve, 1000); });

    return ask(to, method, target, headers, body, tries - 1);
}


function expect({ status, seconds, body }, ...statuses) {
    assert(statuses.includes(status),
           `not ${statuses}: ${status} after ${seconds} s: ${body}`);
}


function deliver(to, body) {
    return ask(to, 'POST', '/webhook',
               [`X-Signature: ${requests.sign(body, secret)}`], body);
}


function deliverWhatsApp(to, body) {
    return ask(to, 'POST', '/whatsapp',
               [`X-Hub-Signature-256: sha256=${requests.sign(body, secret)}`],
               body);
}


// the same server, and a caller that may not read

const server = { port: good };
const stranger = { port: good, localAddress: foreign };


const properties = {

    async 'a body is taken if and only if it is a message'() {
        await holds(requests.body, async (value) => {
            const body = JSON.stringify(value);
            const answer = await deliver(server, body);

            expect(answer, acceptable(value) ? 200 : 422);
        });
    },

    async 'whatever is signed gets a described answer'() {
        await holds(requests.mangled, async (body) => {
            const answer = await deliver(server, body);

            expect(answer, 200, 422);
        });
    },

    async 'a delivery of WhatsApp is taken if it is one'() {
        const lists = fc.record({
            messages: fc.jsonValue(), statuses: fc.jsonValue(),
            message_echoes: fc.array(fc.jsonValue()),
            contacts: fc.jsonValue(), metadata: fc.jsonValue(),
        }, { requiredKeys: [] });
        const change = fc.record({ field: fc.constantFrom('messages', 'calls'),
                                   value: fc.oneof(lists, fc.jsonValue()) });

        await holds(fc.array(fc.oneof(change, fc.jsonValue())),
            async (changes) => {
                const answer = await deliverWhatsApp(server, JSON.stringify({
                    entry: [{ changes }, { changes: 0 }],
                    object: 'whatsapp_business_account' }));

                expect(answer, 200);
            });
        await holds(requests.mangled, async (body) => {
            expect(await deliverWhatsApp(server, body), 422);
        });
    },

    async 'whatever is not signed gets a 401'() {
        const forged = fc.tuple(requests.mangled,
                                fc.stringMatching(/^[0-9a-fA-F]{0,64}$/));

        await holds(forged, async ([body, signature]) => {
            expect(await ask(server, 'POST', '/webhook',
                             [`X-Signature: ${signature}`], body), 401);
        });
    },

    async 'parameters that are allowed are answered'() {
        await holds(requests.query, async (query) => {
            const target = '/messages?' + requests.encode(Object.entries(query));
            const answer = await ask(server, 'GET', target);
            const page = JSON.parse(answer.body);

            expect(answer, 200);
            assert.strictEqual(page.limit, Number(query.limit || 50));
            assert.strictEqual(page.offset, Number(query.offset || 0));
            assert(page.data.length <= page.limit);
        });
    },

    async 'GET and HEAD agree, whatever the query'() {
        await holds(requests.hostileQuery, async (pairs) => {
            const target = '/messages?' + requests.encode(pairs);
            const get = await ask(server, 'GET', target);
            const head = await ask(server, 'HEAD', target);

            expect(get, 200, 422);
            expect(head, get.status);
            assert.deepStrictEqual(head.headers['content-length'],
                                   get.headers['content-length']);
        });
    },

    async 'a stream and an export are answered, whatever the query'() {
        await holds(requests.hostileQuery, async (pairs) => {
            for (const path of ['/messages/stream', '/messages/export']) {
                const target = `${path}?${requests.encode(pairs)}`;
                const get = await ask(server, 'GET', target);
                const head = await ask(server, 'HEAD', target);

                expect(get, 200, 422);
                expect(head, get.status);
            }
        });
    },

    async 'any method, target and headers get a described answer'() {
        await holds(requests.anything(paths), async (any) => {
            const { method, target, headers } = any;
            const chunked = headers.some((line) => /chunked/.test(line));
            const bytes = request(method, target, headers);
            const answer = await insist(server, chunked
                ? Buffer.concat([bytes, Buffer.from('0\r\n\r\n')]) : bytes);

            judgeAny(any, answer);
        });
    },

    async 'bytes that are hardly a request get one, or none'() {
        await holds(requests.bytes(paths), async (bytes) => {
            const answer = await exchange(server, bytes);

            if (answer && answer.status) {
                assert.deepStrictEqual(
                    description.judgeAny(method(bytes), answer), []);
            }
        });
    },

    async 'the pages of the links have all messages'() {
        const { total } = JSON.parse(
            (await ask(server, 'GET', '/messages')).body);
        let target = '/messages?limit=100';
        let n = 0;

        while (target) {
            const { headers, body } = await ask(server, 'GET', target);
            const [link] = headers.link || [''];

            n += JSON.parse(body).data.length;
            target = (/^<(.*)>/.exec(link) || [])[1];
        }

        assert(total > 0);
        assert.strictEqual(n, total);
    },

    async 'every described status was seen'() {
        await provoke();
        assert.deepStrictEqual(description.missed(UNPROVOKED), []);
    },
};


// nginx takes some targets for others, and some for none; it refuses two
// methods before it looks at the path

function judgeAny({ method, target }, answer) {
    const odd = !/^\/[!-~]*$/.test(target)
                || /%(?![0-9a-f]{2})/i.test(target)
                || method === 'get'
                || /TRACE|CONNECT/.test(method) && /(\.|%2e)/i.test(target);

    assert.deepStrictEqual(odd ? description.judgeAny(method, answer)
                               : description.judge(method, target, answer), []);
}


// what a schema cannot tell about the fields

function acceptable(value) {
    return description.isMessage(value)
        && ['message_id', 'from', 'to', 'ts', 'text'].every((name) =>
            !/[\0\p{Surrogate}]/u.test(value[name] ?? ''));
}


// each status of each operation

async function provoke() {
    const large = 'Content-Length: 5000000';

    for (const { path, method, responses } of description.operations()) {
        const target = example(path);
        const go = (to, how = method, ...rest) => ask(to, how, target, ...rest);

        await go(server);
        await go({ port: unready });
        await go({ port: secretless });
        await go({ port: guarded });
        await go({ port: guarded }, 'POST');
        await go(server, 'PUT');

        if (foreign) {
            await go(stranger);
            await go(stranger, 'POST');
        }

        await go(server, method, [large]);
        await go(server, method, ['Content-Length: x']);
        await go(server, method, ['Transfer-Encoding: gzip']);
        await go(server, method, ['X-Long: ' + 'x'.repeat(70000)]);
        await ask(server, method, `${target}?${'x'.repeat(70000)}`);

        const bytes = request(method, target).toString('latin1');
        const answer = await insist(server,
            Buffer.from(bytes.replace('1.1', '3.0')));

        assert.deepStrictEqual(description.judge(method, target, answer), []);

        if (responses[304]) {
            await go(server, method, ['If-None-Match: *']);
            await go(server, method, ['If-Match: "x"']);
        }

        if (responses[422] && method !== 'POST') {
            await ask(server, method, `${target}?limit=0&offset=x&since=x`);
            await ask(server, method, `${target}?after=x`);
            await ask(server, method, target, ['Last-Event-ID: x']);
            await ask(server, method, target, ['Accept: text/csv']);
            await ask(server, method, target, ['Last-Event-ID: 0']);
        }
    }

    const { file, consoleFile } = description.doc.components.parameters;

    for (const name of file.schema.enum) {
        await ask(server, 'GET', `/docs/${name}`);
    }

    for (const name of consoleFile.schema.enum) {
        await ask(server, 'GET', `/console/${name}`);
    }

    await deliver(server, JSON.stringify({ message_id: 'm', from: '+1',
        to: '+2', ts: '2025-01-15T10:00:00Z' }));
    await deliver({ port: unready }, JSON.stringify({ message_id: 'm',
        from: '+1', to: '+2', ts: '2025-01-15T10:00:00Z' }));
    await deliver(server, '{}');

    const challenge = '/whatsapp?hub.mode=subscribe&hub.verify_token=tok'
                      + '&hub.challenge=1';

    await ask(server, 'GET', challenge);
    await ask(server, 'HEAD', challenge);
    await deliverWhatsApp(server, '{}');

    for (const name of ['messages', 'statuses']) {
        const body = JSON.stringify({ object: 'whatsapp_business_account',
            entry: [{ changes: [{ field: 'messages', value: {
                [name]: [{ id: 'm', status: 'read' }] } }] }] });

        await deliverWhatsApp(server, body);
        await deliverWhatsApp({ port: unready }, body);
    }
}


function holds(arbitrary, check) {
    return fc.assert(fc.asyncProperty(arbitrary, check),
                     { numRuns: runs, seed });
}


async function main() {
    console.log(`# seed ${seed}, ${runs} requests a property`);

    for (const [name, property] of Object.entries(properties)) {
        try {
            await property();
            console.log(`ok ${name}`);
        } catch (error) {
            console.log(`not ok ${name}`);
            console.log([error.message, error.cause?.message,
                         `OPENAPI_SEED=${seed}`].join('\n')
                        .replace(/^/gm, '# '));
        }
    }
}


main();
