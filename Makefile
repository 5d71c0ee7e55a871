# make help tells what there is to make.

SHELL = /bin/bash
.SHELLFLAGS = -e -o pipefail -c
.DEFAULT_GOAL = build

# another nginx: its sources, and its binary of the same version (NGINX itself
# is a variable of nginx, for the sockets that it inherits)
NGINX_SRC ?= /usr/share/nginx/src
NGINX_BIN ?= $(or $(shell PATH=$$PATH:/usr/sbin:/usr/local/sbin \
	command -v nginx),/usr/sbin/nginx)
BUILD ?= $(CURDIR)/build

# what make valgrind runs
VALGRIND_TESTS = $(or $(wildcard t/*webhook*.t t/*messages*.t),t)

CC_OPT = -g -O2 -fstack-protector-strong -fPIC -D_FORTIFY_SOURCE=2 \
	-Wformat -Werror=format-security -W -Wall -Wextra \
	-Wpointer-arith -Wno-unused-parameter
LD_OPT = -Wl,-z,relro -Wl,-z,now
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer

MODULE = $(BUILD)/ngx_http_lyftr_module.so
NGX_INCS = $(addprefix -I $(NGINX_SRC)/src/,core event event/modules \
	event/quic os/unix http http/modules http/v2) -I $(BUILD)

export NGINX_BIN NGINX_SRC BUILD MODULE NGX_INCS


.PHONY: help build module lines backup move run test unit replay fuzz faults \
	mutants up stop down logs test-docker check bench asan valgrind deb \
	test-deb clean


help:		## show this list
	@sed -En 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16


build:		## build the module into build/; the default
	@t/setup build
	@$(MAKE) -s --no-print-directory module backup move


# Debian's nginx keeps its features in conf_flags

$(BUILD)/Makefile: config Makefile $(NGINX_SRC)/configure
	@mkdir -p $(BUILD)
	@echo "configuring for $(NGINX_SRC)" >&2
	@cd $(NGINX_SRC); \
	NGX_CONF_FLAGS=(--with-compat --with-threads --with-debug \
		--with-http_ssl_module --with-http_v2_module); \
	[ ! -r conf_flags ] || . ./conf_flags; \
	./configure "$${NGX_CONF_FLAGS[@]}" --builddir=$(BUILD) \
		--with-cc-opt='$(CC_OPT)' --with-ld-opt='$(LD_OPT)' \
		--add-dynamic-module=$(CURDIR) >$(BUILD)/configure.log \
	|| { rm -f $(BUILD)/Makefile; tail -5 $(BUILD)/configure.log >&2; \
		exit 1; }

module: $(BUILD)/Makefile
	@$(MAKE) -s -f $(BUILD)/Makefile -C $(NGINX_SRC) modules


# what turns the error log of the image into JSON

LINES = docker/lines.c $(addprefix ngx_lyftr_module/message/ngx_lyftr_, \
	json.c utf8.c)

$(BUILD)/lines: $(LINES) $(wildcard ngx_lyftr_module/*/*.h) $(BUILD)/Makefile
	@$(CC) -D_GNU_SOURCE $(CC_OPT) -Werror $(NGX_INCS) \
		-I ngx_lyftr_module/message -o $@ $(LINES) $(LD_OPT)

lines: $(BUILD)/lines


# what copies a store

$(BUILD)/backup: docker/backup.c Makefile
	@mkdir -p $(BUILD)
	@$(CC) -D_GNU_SOURCE $(CC_OPT) -Werror -o $@ $< $(LD_OPT) -lsqlite3

backup: $(BUILD)/backup


# what moves a store to PostgreSQL, and back, where the module knows that

MOVE = docker/move.c docker/move_sqlite.c docker/move_postgres.c \
	$(addprefix ngx_lyftr_module/,index/ngx_lyftr_checksum.c \
		message/ngx_lyftr_utf8.c postgres/ngx_lyftr_postgres_buf.c)

$(BUILD)/move: $(MOVE) docker/move.h $(wildcard ngx_lyftr_module/*/*.h) \
		$(BUILD)/Makefile
	@if grep -qw NGX_LYFTR_POSTGRES $(BUILD)/ngx_auto_config.h; then \
		$(CC) -D_GNU_SOURCE $(CC_OPT) -Werror $(NGX_INCS) \
			$(addprefix -I ngx_lyftr_module/,index message store \
				sqlite postgres) \
			-I /usr/include/postgresql -o $@ $(MOVE) $(LD_OPT) \
			-lpq -lsqlite3 -lcrypto; \
	else \
		echo "without libpq there is no docker/move" >&2; \
		printf '#!/bin/sh\necho "%s" >&2; exit 1\n' \
			"move: it was built without libpq" >$@; \
		chmod 755 $@; \
	fi

move: $(BUILD)/move


run: build lines	## serve on port 8000, or PORT; see docker/README.md
	@t/setup docs
	@exec $(BUILD)/lines docker/serve


test: build unit replay	## run all tests, rigs in short (T=t/some.t: one)
	@t/setup test
	@t/setup docs
	@t/setup openapi
	@t/run $(T)
	@$(if $(T),,t/postgres)
	@$(if $(T),,t/faults/run --fast)


unit: build	## run the unit tests of the files that know no nginx
	@t/setup test
	@$(MAKE) -s --no-print-directory -C t/unit \
		BUILD=$(BUILD)/unit run


replay: build	## run the fuzz targets on the corpora that are here
	@$(MAKE) -s --no-print-directory -C t/fuzz \
		BUILD=$(BUILD)/fuzz replay


fuzz: build	## fuzz with clang, TIME=60 seconds a target
	@t/setup fuzz
	@$(MAKE) -s --no-print-directory -C t/fuzz \
		BUILD=$(BUILD)/fuzz TIME=$(or $(TIME),60) run


faults: build	## run the rigs of t/faults (FAULTS=1,5,7: only these)
	@t/setup test
	@t/setup faults
	@t/faults/run


mutants: build	## plant N=100 faults, SEED=1, and tell which no test sees
	@t/setup test
	@t/setup docs
	@t/setup openapi
	@t/mutants/run


# the version of compose that is there; BuildKit, for the older one

COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 \
	&& echo docker compose || echo docker-compose)
COMPOSE_API = DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 \
	REVISION=$$(git rev-parse HEAD 2>/dev/null) \
	$(COMPOSE) -f docker/compose.yaml

up:		## build and start the container, and wait until it is ready
	@docker/keep $(COMPOSE) -f docker/compose.yaml
	@$(COMPOSE_API) build -q >/dev/null
	@$(COMPOSE_API) up -d
	@docker/wait $(COMPOSE) -f docker/compose.yaml


stop:		## stop the containers, and keep their data
	@COMPOSE_PROFILES=observability,postgres $(COMPOSE_API) stop


down:		## stop the containers, and remove them with their data
	@COMPOSE_PROFILES=observability,postgres $(COMPOSE_API) down --volumes


logs:		## follow the log of the container
	@$(COMPOSE_API) logs --no-log-prefix -f api


test-docker:	## build and test the image, with the engine that docker has
	@t/docker/run $(T)


check: build	## check the style, the documents, and analyze the code
	@t/setup check
	@t/setup openapi
	@t/check/all


bench: build	## measure (BENCH=quick: against bare nginx only)
	@t/setup bench
	@$(MAKE) -s --no-print-directory -C t/bench bench


.PHONY: sanitized
sanitized:
	@$(MAKE) -s --no-print-directory build BUILD=$(BUILD)/asan \
		CC_OPT='$(CC_OPT) -U_FORTIFY_SOURCE $(SANITIZE)' \
		LD_OPT='$(LD_OPT) $(SANITIZE)'


asan: build sanitized	## run the suite with AddressSanitizer and UBSan
	@t/setup test
	@t/setup docs
	@t/setup openapi
	@MODULE=$(BUILD)/asan/ngx_http_lyftr_module.so t/run --asan $(T)


valgrind: build	## run a part of the suite with valgrind (slow)
	@t/setup test
	@t/setup docs
	@t/setup openapi
	@t/setup valgrind
	@t/run --valgrind $(or $(T),$(VALGRIND_TESTS))


deb: build	## build the Debian package into build/
	@t/setup deb
	@docker/deb


test-deb: deb	## install the package into a clean Debian 12, and try it
	@t/setup testdeb
	@t/deb/run


clean:		## remove what was built
	rm -rf $(BUILD)
