'use strict';

// Shows /openapi.json without its HEAD twins, and signs what is tried out.  The
// validator of Swagger UI would be another host, and an address in the page's
// query could be any.

const secret = document.getElementById('secret');

const bytes = (text) => new TextEncoder().encode(text);


// what is typed into the page goes no further than here

async function sign(request) {
    if (request.method !== 'POST' || secret.value === '') {
        return request;
    }

    const key = await crypto.subtle.importKey(
        'raw', bytes(secret.value), { name: 'HMAC', hash: 'SHA-256' }, false,
        ['sign']);
    const mac = await crypto.subtle.sign('HMAC', key,
                                         bytes(request.body || ''));

    const hex = Array.from(new Uint8Array(mac),
                           (byte) => byte.toString(16).padStart(2, '0'))
        .join('');

    if (/\/whatsapp$/.test(request.url)) {
        request.headers['X-Hub-Signature-256'] = `sha256=${hex}`;
    } else {
        request.headers['X-Signature'] = hex;
    }

    return request;
}


async function show() {
    const answer = await fetch('openapi.json');
    const spec = await answer.json();

    for (const item of Object.values(spec.paths)) {
        delete item.head;
    }

    SwaggerUIBundle({
        spec,
        dom_id: '#api',
        validatorUrl: null,
        queryConfigEnabled: false,
        deepLinking: true,
        tryItOutEnabled: true,
        persistAuthorization: false,
        requestInterceptor: sign,
    });
}


// browsers have WebCrypto only where nobody can listen

if (!window.isSecureContext) {
    secret.disabled = true;
    document.getElementById('why').hidden = false;
}

show();
