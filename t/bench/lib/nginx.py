"""nginx: bare, with the module, and with what its users have besides."""

import grp
import os
import pwd

from server import Server, gauges
from setting import MODULE, NGINX, PEERS, SECRET, STORE, WORKERS

CONFIG = """
{main}
worker_processes {workers};
worker_rlimit_nofile 16384;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log {level};

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    keepalive_requests 10000000;
    client_body_buffer_size 1m;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    {http}

    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""

BARE = """
        location = /webhook {
            default_type application/json;
            return 200 '{"status":"ok"}';
        }

        location = /whatsapp {
            default_type application/json;
            return 200 '{"status":"ok"}';
        }
"""

OURS = """
        location = /webhook {
            lyftr_webhook main;
        }

        location = /standard {
            lyftr_webhook main;
            lyftr_signature standard;
            lyftr_secret %s encoding=raw;
        }

        location = /whatsapp {
            lyftr_webhook main format=whatsapp;
        }

        location = /messages {
            lyftr_messages main;
        }

        location = /messages/stream {
            lyftr_stream main;
        }

        location = /messages/export {
            lyftr_export main;
        }

        location = /stats {
            lyftr_stats main;
        }

        location = /metrics {
            lyftr_metrics;
        }
""" % SECRET

LUA_OPEN = """
    lua_package_path '%(peers)s/?.lua;;';
    init_by_lua_block { require("webhook").create("%(db)s") }
    init_worker_by_lua_block {
        require("webhook").open("%(db)s", "%(secret)s")
    }
"""

LUA = """
        location = /webhook {
            default_type application/json;
            content_by_lua_block { require("webhook").handle() }
        }
"""

LUA_MODULES = ("/usr/lib/nginx/modules/ndk_http_module.so",
               "/usr/lib/nginx/modules/ngx_http_lua_module.so")


class Nginx(Server):
    level = "warn"

    def __init__(self, workers=WORKERS, folder=None):
        super().__init__(folder)
        self.workers = workers

    def command(self):
        with open(self.path("nginx.conf"), "w") as f:
            f.write(self.config())
        return [NGINX, "-e", self.path("error.log"), "-p", self.folder,
                "-c", self.path("nginx.conf")]

    def config(self):
        main = ""
        if os.geteuid() == 0:
            main = "user %s %s;\n" % (pwd.getpwuid(0).pw_name,
                                      grp.getgrgid(os.getegid()).gr_name)
        main += "".join("load_module %s;\n" % m for m in self.modules())
        return CONFIG.format(main=main, http=self.http(), level=self.level,
                             server=self.server(), port=self.port,
                             dir=self.folder, workers=self.workers)

    def modules(self):
        return ()

    def http(self):
        return ""

    def server(self):
        return BARE

    def worker_pids(self):
        return self.pids()[1:]


class Ours(Nginx):
    database = "app.db"
    store = STORE

    def modules(self):
        return (MODULE,)

    def http(self):
        return "lyftr_store main sqlite:///%s %s;\n    lyftr_secret %s;" % (
            self.path("app.db"), self.store, SECRET)

    def server(self):
        return OURS

    def metrics(self):
        return gauges(self.get("/metrics")[2])


class Searching(Ours):
    store = STORE + " search=on"


class Refusing(Ours):
    """For bodies that are signed, parsed, and refused at their end."""

    database = None


class Lua(Nginx):
    """One commit a request, in the event loop."""

    database = "app.db"

    def modules(self):
        return LUA_MODULES

    def http(self):
        return LUA_OPEN % {"peers": PEERS, "secret": SECRET,
                           "db": self.path("app.db")}

    def server(self):
        return LUA


def lua_missing():
    """Why there cannot be a Lua, or nothing."""

    if NGINX not in ("nginx", "/usr/sbin/nginx"):
        return "another nginx than Debian's"
    if not all(map(os.path.exists, LUA_MODULES)):
        return "no libnginx-mod-http-lua"
    return None
