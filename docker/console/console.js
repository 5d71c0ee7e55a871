// The views, by the fragment of the address, and the token.

import { refused, useToken } from './api.js';
import { live } from './live.js';
import { lookup } from './lookup.js';
import { numbers } from './numbers.js';

const views = { live, search: lookup, numbers };
const form = document.getElementById('token');
const input = document.getElementById('token-text');

let current;


function route() {
    const [, name, parameters] = /^#?([^?]*)\??(.*)$/s.exec(location.hash);
    const view = Object.hasOwn(views, name) ? views[name] : live;

    for (const one of Object.values(views)) {
        one.section.hidden = one !== view;
    }

    for (const link of document.querySelectorAll('header a')) {
        if (link.hash === `#${view.section.id}`) {
            link.setAttribute('aria-current', 'page');
        } else {
            link.removeAttribute('aria-current');
        }
    }

    if (current && current !== view) {
        current.hide();
        view.section.querySelector('h2').focus();
    }

    current = view;
    document.title = `lyftr: ${view.section.querySelector('h2').textContent}`;
    view.show(new URLSearchParams(parameters.replaceAll('+', '%2B')));
}


refused.addEventListener('token', () => {
    if (form.hidden) {
        form.hidden = false;
        input.focus();
    }
});

form.addEventListener('submit', (event) => {
    event.preventDefault();
    useToken(input.value.trim());
    input.value = '';
    form.hidden = true;
    refused.dispatchEvent(new Event('again'));
});

document.getElementById('zone').textContent =
    Intl.DateTimeFormat().resolvedOptions().timeZone;

window.addEventListener('hashchange', route);
route();
