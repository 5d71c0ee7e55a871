'use strict';

// lint.js DIR: redocly's strict rules on the description, and what only this
// repository knows: its paths, details, types of faults and version.

const fs = require('fs');
const path = require('path');

const { createConfig, lint, formatProblems } =
    require('@redocly/openapi-core');

const [, , dir] = process.argv;
const file = path.join(dir, 'docker/openapi.json');

const read = (name) => fs.readFileSync(path.join(dir, name), 'utf8');
const faults = [];


// the first of all matches in a part of a file

function found(name, part, pattern) {
    const [, text] = part.exec(read(name)) || [];

    return [...(text || '').matchAll(pattern)].map(([, match]) => match);
}


function compare(what, described, real) {
    const missing = real.filter((one) => !described.includes(one));
    const invented = described.filter((one) => !real.includes(one));

    missing.forEach((one) => faults.push(`${what}: ${one} is not described`));
    invented.forEach((one) => faults.push(`${what}: there is no ${one}`));

    if (real.length === 0) {
        faults.push(`${what}: none was found`);
    }
}


function compareAll({ info, paths, components: { schemas } }) {
    const types = Object.keys(schemas).filter((one) => /Faults$/.test(one))
        .flatMap((one) =>
            schemas[one].properties.detail.items.properties.type.enum);

    compare('version', [info.version],
            found('CHANGES.md', /^Changes with ([^\n]*)/, /module (\S+)/g));

    compare('path', Object.keys(paths).filter((one) => !one.includes('{')),
            found('docker/nginx.conf.template', /([^]*)/,
                  /^ *location = (\/(?!\.error\/)\S+) /gm));

    compare('type of a fault', [...new Set(types)],
            found('ngx_lyftr_module/message/ngx_lyftr_fault.c',
                  /fault_texts\[\] = \{([^]*?)\n\};/,
                  /\{ ngx_string\("(\w+)"\)/g));

    // a message that cannot be held is a 500; nginx, the health endpoint, and
    // what has a most of its own, have their details

    compare('detail of a 503',
            [...schemas.Trouble.enum, 'the store cannot hold this message'],
            [...new Set(found('ngx_lyftr_module/store/ngx_lyftr_status.c',
                              /status_texts\[\] = \{([^]*?)\n\};/,
                              /ngx_string\("([^"]+)"\)/g)),
             ...['stream', 'export'].flatMap((one) =>
                 found(`ngx_lyftr_module/http/ngx_lyftr_${one}.c`, /([^]*)/,
                       /ngx_str_set\(&detail, "([^"]+)"\)/g)),
             'no webhook secret is configured', 'Service Unavailable']);
}


async function main() {
    // /console/ is a folder, whose page has addresses that are relative

    const config = await createConfig({ extends: ['recommended-strict'],
        rules: { 'no-path-trailing-slash': 'off' } });
    const problems = await lint({ ref: file, config });

    formatProblems(problems, { format: 'codeframe', version: '' });

    if (problems.length === 0) {
        compareAll(JSON.parse(read('docker/openapi.json')));
    }

    faults.forEach((fault) => console.log(`openapi.json: ${fault}`));
    process.exitCode = problems.length + faults.length ? 1 : 0;
}


main();
