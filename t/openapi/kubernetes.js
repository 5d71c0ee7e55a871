'use strict';

// kubernetes.js FILE: each of its documents by the schema of Kubernetes's API.

const fs = require('fs');

const yaml = require('js-yaml');


for (const doc of yaml.loadAll(fs.readFileSync(process.argv[2], 'utf8'))) {
    const { apiVersion, kind } = doc;
    const model = require(`kubernetes-models/${apiVersion}/${kind}`)[kind];

    new model(doc).validate();
    console.log(kind);
}
