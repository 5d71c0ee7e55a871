'use strict';

// Judges answers by the description, and remembers what was seen.

const fs = require('fs');

const Ajv = require('ajv/dist/2020');
const formats = require('ajv-formats');

// what a server may send with any answer

const COMMON = new Set(['connection', 'content-length', 'content-type', 'date',
                        'server', 'transfer-encoding']);

// what may be said about any request, before it is known what it is for

const ANY = ['BadRequest', 'NotFound', 'OnlyRead', 'TooLarge', 'UriTooLong',
             'NotImplemented', 'VersionNotSupported'];

// at any path, whatever the method

const ANY_METHOD = ['400', '401', '403', '404', '405', '413', '414', '501',
                    '505'];


class Description {

    constructor(file) {
        this.doc = JSON.parse(fs.readFileSync(file, 'utf8'));
        this.seen = new Set();
        this.validators = new Map();

        // callers must bear new fields in an answer; this test must not

        const strict = structuredClone(this.doc);
        close(strict.components);

        this.ajv = new Ajv({ strict: false });
        formats(this.ajv);
        this.ajv.addSchema(strict, 'api', false, false);

        this.any = Object.fromEntries(ANY.map((name) => this.reference(name)));
    }


    // a response, and the status under which the operations have it

    reference(name) {
        const $ref = `#/components/responses/${name}`;

        for (const { responses } of this.operations()) {
            const status = Object.keys(responses)
                .find((key) => responses[key].$ref === $ref);

            if (status) {
                return [status, { $ref }];
            }
        }

        throw new Error(`${name} is the answer of no operation`);
    }


    *operations() {
        for (const [path, item] of Object.entries(this.doc.paths)) {
            for (const method of ['get', 'head', 'post']) {
                if (item[method]) {
                    yield { path, method: method.toUpperCase(),
                            responses: item[method].responses };
                }
            }
        }
    }


    // a path as in the description; {file} is the only variable in one

    path(target) {
        let path = target.replace(/[?#].*$/s, '');

        try {
            path = decodeURIComponent(path);
        } catch {
            return undefined;
        }

        const { parameters } = this.doc.components;
        const [, folder, file] = /^\/(docs|console)\/(.+)$/.exec(path) || [];
        const { schema } = folder === 'console' ? parameters.consoleFile
            : parameters.file;

        if (schema.enum.includes(file)) {
            return `/${folder}/{file}`;
        }

        return Object.hasOwn(this.doc.paths, path) && !/[{}]/.test(path)
            ? path : undefined;
    }


    // the responses that a request may get

    responses(method, target) {
        const path = this.path(target);
        const item = this.doc.paths[path];

        if (!item) {
            return { name: 'elsewhere', responses: this.any };
        }

        const operation = /^[A-Z]+$/.test(method) && item[method.toLowerCase()];

        if (operation) {
            return { name: `${method} ${path}`,
                     responses: operation.responses };
        }

        const { responses } = item.get || item.post;

        return {
            name: `another method of ${path}`,
            responses: Object.fromEntries(ANY_METHOD
                .filter((status) => responses[status])
                .map((status) => [status, responses[status]])),
        };
    }


    // what is wrong with an answer: a list of sentences

    judge(method, target, answer) {
        const { name, responses } = this.responses(method, target);
        const { status } = answer;

        if (!responses[status]) {
            return [`${name}: ${status} is not described`];
        }

        this.seen.add(`${name} ${status}`);

        return this.check(responses[status], method, answer)
            .map((fault) => `${name}: ${status}: ${fault}`);
    }


    // of the first answer to bytes that may be none or several requests

    judgeAny(method, { status, headers, body, whole }) {
        const length = method === 'HEAD' ? 0 : headers['content-length'];
        const answer = { headers, whole, body: body.subarray(0, length) };
        const faults = [`${status} is nowhere described so`];

        for (const { responses } of this.operations()) {
            const response = responses[status];
            const found = response && this.check(response, method, answer);

            if (found && found.length === 0) {
                return [];
            }

            faults.push(...found || []);
        }

        return faults;
    }


    check(reference, method, answer) {
        const response = this.resolve(reference);

        return [...this.checkHeaders(response, answer.headers),
                ...this.checkBody(response, method, answer)];
    }


    checkHeaders(response, headers) {
        const faults = [];
        const described = new Set();

        for (const [key, reference] of Object.entries(response.headers)) {
            const header = this.resolve(reference);
            const name = key.toLowerCase();

            described.add(name);

            if (headers[name]) {
                faults.push(...this.checkHeader(header, headers[name][0])
                    .map((fault) => `${name}: ${fault}`));
            } else if (header.required) {
                faults.push(`${name} is missing`);
            }
        }

        for (const [name, values] of Object.entries(headers)) {
            if (!described.has(name) && !COMMON.has(name)) {
                faults.push(`${name} is not described`);
            }

            if (values.length > 1) {
                faults.push(`${name} is there ${values.length} times`);
            }
        }

        return faults;
    }


    checkHeader({ pointer, schema }, text) {
        const number = schema.type === 'integer' && /^[0-9]+$/.test(text);

        return this.validate(pointer ? `${pointer}/schema` : schema,
                             number ? Number(text) : text);
    }


    checkBody(response, method, { headers, body, whole }) {
        const type = (headers['content-type'] || [])[0];
        const length = (headers['content-length'] || [])[0];
        const types = Object.keys(response.content || {});

        if (types.length === 0) {
            return body.length || type ? ['a body is not described'] : [];
        }

        if (!types.includes(type)) {
            return [`the type is ${type}`];
        }

        if (method === 'HEAD') {
            return body.length ? ['HEAD has a body'] : [];
        }

        const stream = /^text\/event-stream/.test(type);

        if (length === undefined && !stream && headers['transfer-encoding']
            && !whole)
        {
            return ['the end did not come'];
        }

        if (length !== undefined && Number(length) !== body.length) {
            return [`${body.length} bytes came, not ${length}`];
        }

        let value;

        // of a stream what came last may be a part of an event

        const text = stream ? body.subarray(0, body.lastIndexOf('\n\n') + 2)
                            : body;

        try {
            value = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
                .decode(text);
            value = type === 'application/json' ? JSON.parse(value) : value;
        } catch (error) {
            return [`the body: ${error.message}`];
        }

        const where = `${response.pointer}/content/${escape(type)}/schema`;

        return this.validate(where, value)
            .map((fault) => `the body: ${fault}: ${body}`.slice(0, 1000));
    }


    // by a schema, or a pointer to one

    validate(schema, value) {
        const key = typeof schema === 'string' ? schema
                                               : JSON.stringify(schema);

        if (!this.validators.has(key)) {
            this.validators.set(key, this.ajv.compile(
                typeof schema === 'string' ? { $ref: `api${schema}` }
                                           : schema));
        }

        const validator = this.validators.get(key);

        return validator(value) ? []
            : validator.errors.map((error) =>
                `${error.instancePath} ${error.message}`.trim());
    }


    isMessage(value) {
        return this.validate('#/components/schemas/Message', value)
            .length === 0;
    }


    resolve(object) {
        if (!object.$ref) {
            return object;
        }

        const found = object.$ref.slice(2).split('/')
            .reduce((at, name) => at[name], this.doc);

        return { ...found, pointer: object.$ref };
    }


    // what is described, but for the statuses in except

    missed(except) {
        const missed = [];

        for (const { path, method, responses } of this.operations()) {
            for (const status of Object.keys(responses)) {

                // an operation is of the right method

                const name = status === '405' ? `another method of ${path}`
                                              : `${method} ${path}`;

                if (!except.includes(status)
                    && !this.seen.has(`${name} ${status}`))
                {
                    missed.push(`${name} ${status}`);
                }
            }
        }

        return missed;
    }
}


function close(schema) {
    if (typeof schema !== 'object' || schema === null) {
        return;
    }

    if (schema.type === 'object' && schema.properties
        && schema.additionalProperties === undefined)
    {
        schema.additionalProperties = false;
    }

    Object.values(schema).forEach(close);
}


function escape(key) {
    return encodeURIComponent(key.replace(/~/g, '~0').replace(/\//g, '~1'));
}


module.exports = { Description };
