// Shows /openapi.json.  The validator of Swagger UI would be another host, and
// an address in the page's query could be any.

SwaggerUIBundle({
    url: 'openapi.json',
    dom_id: '#api',
    validatorUrl: null,
    queryConfigEnabled: false,
    deepLinking: true,
});
