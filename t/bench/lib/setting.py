"""What the environment sets, and where things are."""

import os
import sys

ENV = os.environ.get

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(ENV("BUILD", os.path.join(HERE, "../../build")))
LOAD = os.path.join(BUILD, "load")
SQLITE = os.path.join(BUILD, "sqlite")
PEERS = os.path.join(HERE, "peers")
MODULE = os.path.abspath(
    ENV("MODULE", os.path.join(BUILD, "ngx_http_lyftr_module.so")))
NGINX = ENV("NGINX_BIN", "nginx")
PYTHON = "/usr/bin/python3"
SECRET = "testsecret"

QUICK = ENV("BENCH", "full") == "quick"
RESULTS = os.path.join(BUILD, "bench-quick.json" if QUICK else "bench.json")

PARTS = ENV("PARTS", "ingest" if QUICK else
            "ingest,peers,whatsapp,open,stream,reads,grown,search,export,"
            "sustained,scale,postgres,postgres-reads").split(",")
ROUNDS = int(ENV("ROUNDS", "3"))
SECONDS = float(ENV("SECONDS", "5" if QUICK else "4"))
SUSTAINED = float(ENV("SECONDS_SUSTAINED", "300"))
CONNECTIONS = [int(n) for n in ENV(
    "CONNECTIONS", "64" if QUICK else "1,16,64,256,1024").split(",")]
RATES = [int(n) for n in ENV("RATES", "1000,5000,20000").split(",")]
ROWS = [int(n) for n in ENV("ROWS", "10000,1000000,10000000").split(",")]

# of a kind of read, alone and beside ingest

ALONE = float(ENV("SECONDS_READ", "5"))
BUSY = min(ALONE, 1.5)

WORKERS = int(ENV("WORKERS", str(os.cpu_count())))

# more parameters of lyftr_store
STORE = ENV("STORE", "")


def fail(text):
    sys.exit("bench: " + text)


def say(text):
    print(text, flush=True)
