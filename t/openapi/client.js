'use strict';

// A request of any bytes on a connection of its own, and its answer taken
// apart.

const net = require('net');

const PATIENCE = 20000;
const GRACE = 1000;

// requests without a body whose answers may last

const LASTING = new RegExp('^GET /messages/(stream|export)[? ]'
                           + '(?!.*(content-length|transfer-encoding):)', 'is');

// what has no length, but chunks, or an end of the connection

const FRAMED = /^(application\/x-ndjson|text\/csv)/;


// undefined if the connection was closed without an answer; nothing is sent
// behind the bytes, which ends also what is no request, or may cut off an answer
// that lasts

function exchange(to, bytes) {
    return new Promise((resolve, reject) => {
        const socket = net.connect({ host: '127.0.0.1', ...to });
        const start = performance.now();
        const chunks = [];
        const patient = LASTING.test(bytes.toString('latin1'));
        let broken;

        // after the machine stood still the answer may be there already

        socket.setTimeout(PATIENCE, () => setTimeout(() => {
            reject(new Error('no answer in time'));
            socket.destroy();
        }, GRACE));

        socket.on('connect', () => {
            if (patient) {
                socket.write(bytes);
            } else {
                socket.end(bytes);
            }
        });

        // the server may wait for more of a body, and then for the end

        socket.on('data', (chunk) => {
            chunks.push(chunk);

            if (complete(parse(Buffer.concat(chunks)), bytes)) {
                socket.destroy();
            }
        });

        // the server may close before it has read all, after an answer

        socket.on('error', (error) => { broken = error; });

        socket.on('close', () => {
            const all = Buffer.concat(chunks);

            if (broken && all.length === 0 && broken.code !== 'ECONNRESET'
                && broken.code !== 'EPIPE')
            {
                reject(broken);
            } else {
                const seconds = (performance.now() - start) / 1000;
                const answer = parse(all);

                resolve(answer && { ...answer, seconds,
                                    whole: answer.whole || !patient });
            }
        });
    });
}


function parse(all) {
    const end = all.indexOf('\r\n\r\n');

    if (end < 0) {
        return undefined;
    }

    // "100 Continue" comes before the answer

    if (/^HTTP\/1\.1 1/.test(all.toString('latin1', 0, 10))) {
        return parse(all.subarray(end + 4));
    }

    const [line, ...fields] = all.toString('latin1', 0, end).split('\r\n');
    const headers = {};

    for (const field of fields) {
        const colon = field.indexOf(':');
        const name = field.slice(0, colon).toLowerCase();

        (headers[name] ||= []).push(field.slice(colon + 1).trim());
    }

    const body = all.subarray(end + 4);

    return { status: Number(line.split(' ')[1]), headers,
             ...headers['transfer-encoding'] ? chunked(body) : { body } };
}


// what came of a body in chunks, and if that is the whole

function chunked(bytes) {
    const parts = [];

    for (let at = 0; ;) {
        const end = bytes.indexOf('\r\n', at);
        const length = parseInt(bytes.toString('latin1', at, end), 16);
        const next = end + 2 + length;

        if (end < 0 || length === 0 || next + 2 > bytes.length) {
            return { body: Buffer.concat(parts), whole: length === 0 };
        }

        parts.push(bytes.subarray(end + 2, next));
        at = next + 2;
    }
}


function complete(answer, bytes) {
    if (!answer) {
        return false;
    }

    const { body, headers, whole } = answer;
    const [length] = headers['content-length'] || ['0'];
    const [type] = headers['content-type'] || [''];

    if (method(bytes) === 'HEAD') {
        return true;
    }

    // a stream has no end: its first event is enough

    if (/^text\/event-stream/.test(type)) {
        return body.includes('\n\n');
    }

    return headers['content-length'] || !FRAMED.test(type)
        ? body.length >= Number(length) : whole;
}


// an empty line may come before a request

function method(bytes) {
    return (/^[\r\n]*([A-Z]+) /.exec(bytes.toString('latin1')) || [])[1];
}


// the usual bytes of a request; headers is a list of lines, of which a Host
// and a Content-Length are ours

function request(method, target, headers = [], body = '') {
    const length = Buffer.byteLength(body);
    const head = [`${method} ${target} HTTP/1.1`, 'Host: a',
                  'Connection: close', ...headers];

    if (length > 0 && !headers.some((line) => /^(content-length|transfer-enco)/i
                                    .test(line)))
    {
        head.push(`Content-Length: ${length}`);
    }

    return Buffer.concat([Buffer.from(head.join('\r\n') + '\r\n\r\n', 'latin1'),
                          Buffer.from(body)]);
}


module.exports = { exchange, method, request };
