#!/bin/sh
#
# The entrypoint of the image.  Like the official nginx image's it runs what is
# in /docker-entrypoint.d, and then the command.  Another command than serve is
# run as it is; nginx's test is one of the configuration that serve makes.

set -eu

lib=/usr/lib/lyftr

case "$*" in
    serve) exec "$lib/lines" "$0" --serve ;;
    --serve) shift ;;
    "nginx -t" | "nginx -T" | "serve -t" | "serve -T") shift ;;
    "serve "* | -*) [ "$1" != serve ] || shift; exec "$lib/serve" "$@" ;;
    *) exec "$@" ;;
esac

# here standard error becomes lines of JSON, and what the scripts say does too

for file in /docker-entrypoint.d/*; do
    case $file in
        *.envsh) run=. ;;
        *.sh) run= ;;
        *) continue ;;
    esac

    if [ -x "$file" ]; then
        $run "$file" >&2
    else
        echo "$file is not executable and was not run" >&2
    fi
done

export TEMPLATE=/etc/nginx/templates/nginx.conf.template
export MODULE=/usr/lib/nginx/modules/ngx_http_lyftr_module.so
exec "$lib/serve" "$@"
