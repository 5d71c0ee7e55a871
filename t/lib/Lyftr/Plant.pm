package Lyftr::Plant;

# Builds the module from a copy of the tree with faults planted in it.  The
# build folder of the suite's module is copied too, so nothing is configured.

use strict;
use warnings;

use Cwd qw(getcwd realpath);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);


# faults by their names, each of [file, text, other text]...

my %faults = (

    # a delivery is answered when it is handed over, not when it is committed

    early_answer => [['ngx_lyftr_request.c', <<'OLD', <<'NEW']],
    r->main->count++;

    return NGX_DONE;
OLD
    ngx_int_t  rc;

    r->main->count++;
    r->aio = 0;
    r->write_event_handler = ngx_http_request_empty_handler;
    op->state = NGX_LYFTR_OP_DONE;
    op->state = NGX_LYFTR_OP_DONE;
    rc = ctx->answer(r);
    op->state = NGX_LYFTR_OP_EXPIRED;
    ctx->expired = 1;
    return rc;
NEW

    # a batch takes its time, so that what waits for it is seen to wait

    slow_batch => [['ngx_lyftr_lane.c',
        "    ngx_lyftr_op_t  *op;\n\n    i = 0;\n",
        "    ngx_lyftr_op_t  *op;\n\n    ngx_msleep(50);\n    i = 0;\n"]],

    # what came together is stored in two transactions

    split_delivery => [
        ['ngx_lyftr_delivery.h', 'parts[2];', 'parts[3];'],
        ['ngx_lyftr_items.c', "        part->n = rows->nmessages;\n",
         "        part->n = rows->nmessages / 2;\n"
         . "        part->item = NGX_LYFTR_ITEM_CREATED;\n        part++;\n"
         . "        part->store = ctx->endpoint->store;\n"
         . "        part->messages = rows->messages + rows->nmessages / 2;\n"
         . "        part->n = rows->nmessages - rows->nmessages / 2;\n"],
    ],

    # one is acknowledged when the first of its stores has its part

    half_delivery => [['ngx_lyftr_items.c',
        'if (delivery->stored == delivery->nparts) {
        return ngx_lyftr_http_send', 'if (delivery->stored) {
        return ngx_lyftr_http_send']],

    # a commit is not synced

    no_sync => [
        ['ngx_lyftr_sqlite_open.c', 'synchronous = FULL;', 'synchronous = 0;'],
        ['ngx_lyftr_sqlite_open.c', 'if (sync != 2)', 'if (0)'],
    ],

    # what comes of a commit does not matter

    commit_ignored => [['ngx_lyftr_lane.c',
        "store->backend->write(lane->seat->conn, &batch, deadline, err)\n"
        . "        != NGX_OK",
        '(store->backend->write(lane->seat->conn, &batch, deadline, err), 0)']],

    # whatever is there is taken for ours

    schema_unchecked => [
        ['ngx_lyftr_sqlite_schema.c', 'if (app != NGX_LYFTR_SQLITE_APP) {',
         'if (app == 0) {'],
        ['ngx_lyftr_sqlite_schema.c',
         'if (version != NGX_LYFTR_SQLITE_VERSION) {', 'if (version == 0) {'],
    ],

    # a read for streams that follow begins a row too late now and then

    stream_skips => [['ngx_lyftr_hub.c', 'feed->follow.place = hub->place;',
        'feed->follow.place = hub->place;'
        . ' feed->follow.place.seq += (ngx_random() % 20 == 0);']],

    # a stream that is ahead of others, whose read is slow, gets what it has

    stream_repeats => [
        ['ngx_lyftr_stream.c',
         'i < n && event[i].seq <= s->follow.place.seq; i++', '0; i++'],
        ['ngx_lyftr_hub.c', "    feed = op->data;\n\n    return",
         "    feed = op->data;\n"
         . "    ngx_int_t rc = backend->follow(conn, &feed->follow,"
         . " ngx_lyftr_feed_row, feed, err);\n"
         . "    ngx_msleep(feed->stream ? 0 : 100);\n    return rc;\n    return"],
    ],

    # what a client does not take is kept for it, and more is read

    stream_unbounded => [
        ['ngx_lyftr_stream.h', "((s)->busy || (s)->request->buffered"
         . ' ' x 38 . "\\\n     || (s)->request->connection->buffered)",
         '(0)'],
        ['ngx_lyftr_stream.c', <<'OLD', <<'NEW'],
    if (s->text) {
        ngx_lyftr_hub_release(s->text);
        s->text = NULL;
OLD
    if (0) {
NEW
    ],

    # a read of the log does not end

    stream_snapshot => [['ngx_lyftr_sqlite_follow.c', <<'OLD', <<'NEW']],
    (void) sqlite3_reset(st);

    return result;
OLD
    return result;
NEW

    # a stream that has ended counts, and its filters and descriptor stay

    stream_left_behind => [
        ['ngx_lyftr_stream.c',
         'ngx_lyftr_counters_stream(s->hub->main, -1);', ''],
        ['ngx_lyftr_stream.c', 's->open = 1;',
         's->open = 1; if (dup(r->connection->fd) == -1) { return NGX_ERROR; }'],
        ['ngx_lyftr_hub.c', 'ngx_free(view);', ''],
    ],

    # damage passes for a fault of the message

    damage_as_data => [['ngx_lyftr_sqlite_error.c',
        '{ SQLITE_CORRUPT, NGX_LYFTR_ERR_CORRUPT }',
        '{ SQLITE_CORRUPT, NGX_LYFTR_ERR_DATA }']],

    # nobody looks for damage

    no_check => [['ngx_lyftr_housekeeping.c',
        'if (!ngx_lyftr_status_get(store->keeper)) {', 'if (store) {']],

    # a refusal does not tell when to come again

    no_retry_after => [['ngx_lyftr_http.c',
        'ngx_str_set(&key, "Retry-After");', 'ngx_str_set(&key, "X-Retry");']],

    # a batch that failed ends the worker

    exit_on_failure => [['ngx_lyftr_lane.c',
        "    op->error = lane->err.code;\n", "abort();\n"]],

    # a failure is slept over, for longer than it lasts

    slow_recovery => [
        ['ngx_lyftr_lane.c',
         "if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {\n",
         "if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {\n"
         . "ngx_msleep(12000);\n"],
        ['ngx_lyftr_lane.c',
         "if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {\n",
         "if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {\n"
         . "ngx_msleep(12000);\n"],
        ['ngx_lyftr_lead.c',
         "if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {\n",
         "if (ngx_lyftr_lane_begin(lane, deadline) != NGX_OK) {\n"
         . "ngx_msleep(12000);\n"],
        ['ngx_lyftr_lead.c',
         "if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {\n",
         "if (rc != NGX_OK && !ngx_lyftr_lane_sound(lane->err.code)) {\n"
         . "ngx_msleep(12000);\n"],
    ],

    # another file under a name is not noticed

    files_unchecked => [
        ['ngx_lyftr_sqlite_files.c', 'if (id != c->dsn->file[i].id) {',
         'if (0) {'],
        ['ngx_lyftr_sqlite_files.c', "        == -1)\n    {\n",
         "== -1 && statx(AT_FDCWD, c->files.path, 0, STATX_INO, &sx) == -1)\n    {\n"],
    ],

    # readiness waits like a delivery

    ready_waits => [['ngx_lyftr_health.c', 'NGX_LYFTR_CHANNEL_PROBE',
                     'NGX_LYFTR_CHANNEL_WRITE']],

    # a body may be anything but UTF-8

    no_utf8 => [['ngx_lyftr_reader.c',
        '*position = ngx_lyftr_utf8_valid(body, len);', '*position = len;']],

    # what was read before it is read again for each key

    quadratic => [['ngx_lyftr_reader.c', <<'OLD', <<'NEW']],
    reader->token = yajl_get_bytes_consumed(reader->yajl);

    return ngx_lyftr_reader_go(reader,
                               reader->handlers->key(reader->data, s, len));
OLD
    reader->token = yajl_get_bytes_consumed(reader->yajl);
    (void) ngx_lyftr_utf8_count(reader->body, reader->token);

    return ngx_lyftr_reader_go(reader,
                               reader->handlers->key(reader->data, s, len));
NEW

    # a secret is told while it is read, and the right signature of a body

    secret_logged => [['ngx_lyftr_secret.c',
        's = ngx_array_push(llcf->secrets);', <<'NEW']],
    ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0, "secret \"%V\"",
                       &secret->value);
    s = ngx_array_push(llcf->secrets);
NEW

    signature_logged => [['ngx_lyftr_signature.c',
        'return proof->secret ? NGX_OK : NGX_DECLINED;', <<'NEW']],
    {
        u_char  hex[64];

        (void) ngx_hex_dump(hex, mac, 32);
        ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                       "signature %*s", sizeof(hex), hex);
    }

    return proof->secret ? NGX_OK : NGX_DECLINED;
NEW

    # anybody may read the database

    open_files => [['ngx_lyftr_sqlite_open.c',
        'O_NOFOLLOW|O_CLOEXEC, 0600);', 'O_NOFOLLOW|O_CLOEXEC, 0644);']],

    # the metrics have a lock, which a worker keeps that is killed

    lock_kept => [
        ['ngx_lyftr_counters.c',
            '(void) ngx_atomic_fetch_add(&path->status[n], 1);', <<'NEW'],
    ngx_spinlock(((ngx_lyftr_counters_t *) lmcf->zone.data)->results, 1, 1024);
    (void) ngx_atomic_fetch_add(&path->status[n], 1);
    ((ngx_lyftr_counters_t *) lmcf->zone.data)->results[0] = 0;
NEW
        ['ngx_lyftr_report.c',
            'ngx_lyftr_output_init(&out, r->pool);', <<'NEW'],
    ngx_lyftr_output_init(&out, r->pool);
    ngx_spinlock(((ngx_lyftr_counters_t *) lmcf->zone.data)->results, 1, 1024);
    ngx_msleep(2);
NEW
        ['ngx_lyftr_report.c',
            'return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK,', <<'NEW'],
    ((ngx_lyftr_counters_t *) lmcf->zone.data)->results[0] = 0;
    return ngx_lyftr_http_send_chain(r, NGX_HTTP_OK,
NEW
    ],

    # the URI of a request makes a series

    series_by_uri => [['ngx_lyftr_counters.c',
        'n = (status >= 100 && status <= 599) ? status - 99 : 0;',
        'n = 1 + (status + ngx_hash_key(r->uri.data, r->uri.len)) % 500;']],

    # long messages do not fit where they are kept

    small_arena => [['ngx_lyftr_webhook.c',
        'ngx_palloc(r->pool, scratch->memory.len);',
        'ngx_palloc(r->pool, scratch->memory.len / 8);']],

    # the last byte of a signature does not count

    short_compare => [['ngx_lyftr_scheme.c',
        'match |= ngx_lyftr_hmac_equal(signature, mac);',
        'match |= (memcmp(signature, mac, 31) == 0);']],

    # what cannot be computed passes for a forged signature

    fault_as_forgery => [['ngx_lyftr_webhook.c',
        'if (delivery->verified == NGX_ERROR) {',
        'if (delivery->verified == NGX_ERROR) {
            delivery->verified = NGX_DECLINED;
        }
        if (delivery->verified == NGX_ERROR) {']],

    # the parser has its memory from malloc

    yajl_allocates => [['ngx_lyftr_reader.c',
        'yajl_alloc(&ngx_lyftr_reader_callbacks, &funcs, reader);',
        'yajl_alloc(&ngx_lyftr_reader_callbacks, funcs.ctx ? NULL : &funcs,
                    reader);']],

    # nothing keeps a worker that is to stop while operations are under way

    no_timer => [['ngx_lyftr_channel.c', <<'OLD', ''],
    ngx_add_timer(&task->event, NGX_LYFTR_TASK_TIMEOUT
                                + 2 * channel->timeout);
OLD
        ['ngx_lyftr_channel.c',
         'ngx_add_timer(&channel->expire, (ngx_msec_t) left);', ''],
        ['ngx_lyftr_follow.c',
         'channel->look.handler = ngx_lyftr_follow_look;',
         'channel->look.handler = ngx_lyftr_follow_look;
          channel->look.cancelable = 1;'],
    ],

    # a configuration is never given back, nor a file that it opened

    leak_of_a_reload => [['ngx_lyftr_module.c',
        'lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_main_conf_t));',
        '(void) ngx_calloc(16384, cf->log);
         (void) open("/dev/null", O_RDONLY);
         lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_lyftr_main_conf_t));'],
    ],

    # what is read from the environment is not handed on to a new binary

    env_not_kept => [['ngx_lyftr_env.c', '*var = *name;',
        '*var = *name; ccf->env.nelts--;'],
    ],

    # a refused delivery is always told to come back in a second

    retry_at_once => [['ngx_lyftr_request.c', '(time_t) (wait / 1000 + 1)',
        '(time_t) (1 + 0 * wait)'],
    ],

    # each delivery has a large buffer

    large_requests => [['ngx_lyftr_webhook.c',
        'ngx_pnalloc(r->pool, delivery->body.text.len + 1);',
        'ngx_pcalloc(r->pool, delivery->body.text.len + 32768);'],
    ],

    # a request whose client leaves ends, though its operation goes on

    leaving_ends => [
        ['ngx_lyftr_request.c', 'r->main->blocked++;',
         'r->read_event_handler = ngx_http_test_reading;'],
        ['ngx_lyftr_request.c', "\n    r->main->blocked--;", ''],
    ],

    # a request whose client has left stays

    left_is_kept => [['ngx_lyftr_request.c', "\n    r->main->blocked--;",
        'r->main->blocked -= !c->error;'],
    ],

    # the lock is asked for after pauses that grow, as SQLite itself does

    backs_off => [['ngx_lyftr_flock.c', <<'OLD', <<'NEW']],
    do {
        rc = flock(lock->fd, LOCK_EX);
OLD
    static const ngx_uint_t  pauses[] = {
        1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100
    };
    ngx_uint_t  i = 0;

    do {
        ngx_msleep(pauses[i]);
        i += (i < 11);
        rc = flock(lock->fd, LOCK_EX|LOCK_NB);
        errno = (rc == -1 && errno == EWOULDBLOCK) ? EINTR : errno;
NEW

    # the first worker does not ask for the lock at once

    unfair => [['ngx_lyftr_flock.c', <<'OLD', <<'NEW']],
    do {
        rc = flock(lock->fd, LOCK_EX);
OLD
    extern ngx_uint_t  ngx_worker;

    if (ngx_worker == 0) {
        ngx_msleep(200);
    }

    do {
        rc = flock(lock->fd, LOCK_EX);
NEW

    # a checkpoint after each commit, between all other steps of the
    # housekeeping

    checkpoints => [
        ['ngx_lyftr_sqlite_steps.c', 'NGX_LYFTR_CHECKPOINT_PAGES 8000',
         'NGX_LYFTR_CHECKPOINT_PAGES 1'],
        ['ngx_lyftr_sqlite_jobs.c',
         'for (i = 0; i < NGX_LYFTR_JOBS && rc == NGX_DONE; i++) {',
         'for (i = 0; i < NGX_LYFTR_JOBS && (rc == NGX_DONE'
         . ' || (first + i == 1 && rc == NGX_OK)); i++) {'],
    ],

    # segments are made and merged ten times as often, and senders counted
    # slowly, so that a kill meets each of it

    small_segments => [
        ['ngx_lyftr_index.h', 'NGX_LYFTR_SEGMENT          20480',
         'NGX_LYFTR_SEGMENT          2048'],
        ['ngx_lyftr_sqlite_jobs.h', 'NGX_LYFTR_MERGE_SHARE      3',
         'NGX_LYFTR_MERGE_SHARE      1'],
        ['ngx_lyftr_sqlite_count.c', 'NGX_LYFTR_COUNT_SENDERS    256',
         'NGX_LYFTR_COUNT_SENDERS    32'],
        ['ngx_lyftr_sqlite_count.c', 'rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR',
         'ngx_msleep(3); rc = ngx_lyftr_sqlite_begin(c, NGX_LYFTR'],
    ],

    # how large the store is is looked at more often, and rows leave slowly, so
    # that a kill meets each of it

    slow_leave => [
        ['ngx_lyftr_sqlite_keep.c', 'NGX_LYFTR_KEEP_SIZE        1000',
         'NGX_LYFTR_KEEP_SIZE        50'],
        ['ngx_lyftr_sqlite_leave.c', 'rc = ngx_lyftr_leave_phases[',
         'ngx_msleep(3); rc = ngx_lyftr_leave_phases['],
    ],

    # what is deleted is not overwritten, and the WAL is not emptied

    deletes_plainly => [['ngx_lyftr_sqlite_open.c',
        'c->dsn->erase_key.len ? "ON" : "OFF"', '"OFF"']],

    wal_stays => [['ngx_lyftr_sqlite_erasing_rest.c',
        'rc = ngx_lyftr_sqlite_empty(c, NGX_LYFTR_ERASING_WAL, deadline, err)',
        'rc = NGX_OK']],

    # what was taken down for rows that then did not leave is taken off

    taken_anyway => [['ngx_lyftr_sqlite_stmt.c',
        'CASE WHEN step = ?2 THEN less', 'CASE WHEN step >= ?2 THEN less']],

    # they leave when half of their time has passed

    leaves_early => [['ngx_lyftr_sqlite_keep.c',
        'now - time <= c->dsn->keep) {', 'now - time <= c->dsn->keep / 2) {']],

    # segments are stored, and senders counted, in as few turns as can be

    large_steps => [
        ['ngx_lyftr_compaction.c', 'NGX_LYFTR_JOB_BLOCKS       64',
         'NGX_LYFTR_JOB_BLOCKS       100000'],
        ['ngx_lyftr_compaction.c', 'NGX_LYFTR_JOB_ENTRIES      4096',
         'NGX_LYFTR_JOB_ENTRIES      10000000'],
        ['ngx_lyftr_sqlite_count.c', 'NGX_LYFTR_COUNT_SENDERS    256',
         'NGX_LYFTR_COUNT_SENDERS    1000000'],
    ],

    # what a segment leaves behind stays

    no_sweep => [['ngx_lyftr_sqlite_steps.c', 'if (!c->jobs->steps.sweep) {',
        'if (c->jobs) {']],

    # a worker that is to stop keeps the housekeeping until it does

    housekeeping_kept => [['ngx_lyftr_channel.c',
        'if (ngx_exiting && channel->type >= NGX_LYFTR_CHANNEL_JOBS) {',
        'if (ngx_exiting && channel == NULL) {']],

    # a step of the counts is taken again after a kill

    counted_again => [['ngx_lyftr_sqlite_count.c',
        'if (sqlite3_column_int64(st, 3) >= count->to) {',
        'if (sqlite3_column_int64(st, 3) > count->to) {']],

    # a store that is not there is made, whether it was there or not

    begins_anew => [['ngx_lyftr_lane.c',
        'if (ngx_lyftr_status_get(store->status->opened) != store->dsn_hash) {',
        'if (store) {']],

    # who hears that the store is locked asks again at once

    spins => [['ngx_lyftr_lane.c',
        '&& error != NGX_LYFTR_ERR_BUSY)', ')']],

    # whoever goes on with an adoption begins with the first row

    adopts_anew => [['ngx_lyftr_sqlite_adopt_sql.c',
        'adopt->passed = sqlite3_column_int64(st, 0);', <<'NEW']],
static ngx_uint_t  calls;

adopt->passed = calls++ > 1 ? sqlite3_column_int64(st, 0) : 0;
NEW

    # a step begins a row later than the last one ended

    adopts_too_few => [['ngx_lyftr_sqlite_adopt.c',
        'sqlite3_bind_int64(st, 5, n - 1);',
        'sqlite3_bind_int64(st, 5, n - (n < NGX_LYFTR_ADOPT_ROWS));']],

    # nobody reads while a checkpoint copies beside the writers

    unguarded => [['ngx_lyftr_sqlite_checkpoint.c',
        'rc = ngx_lyftr_segments_read(guard, err);', 'rc = NGX_OK;']],

    # the WAL may take all of a small disk

    wal_takes_all => [['ngx_lyftr_sqlite_wal.c',
        'room /= NGX_LYFTR_SQLITE_WAL_SHARE;', 'return max;']],

    # a reader goes on after its deadline

    endless_reads => [
        ['ngx_lyftr_sqlite_transaction.c',
         'return ngx_lyftr_flock_left(t->deadline) == 0',
         'return (ngx_lyftr_flock_left(t->deadline) == 0 && t->write)'],
    ],

    # a search reads all texts in one transaction

    long_scan => [['ngx_lyftr_sqlite_search.c',
        '#define NGX_LYFTR_SCAN_STEP        2',
        '#define NGX_LYFTR_SCAN_STEP        60000']],

    # the first row of each part of the search index is left out

    search_gap => [['ngx_lyftr_sqlite_parts.c',
        'add->seq = add->part.first;', 'add->seq = add->part.first + 1;']],

    # the barrier of a batch does not wait for the disk

    pg_no_barrier => [
        ['ngx_lyftr_postgres_stmt.c',
         qq(    " current_setting('synchronous_commit'),"\n),
         qq(    " set_config('synchronous_commit', 'off', true),"\n)],
        ['ngx_lyftr_postgres_barrier.c',
         'if (ngx_strcmp(sync, "on") != 0',
         'if (ngx_strcmp(sync, "never") == 0'],
    ],

    # workers kill themselves now and then: in the midst of a message that is
    # copied for the leader, and where the leader takes, commits and answers

    dies => [
        ['ngx_lyftr_ring.c', "    ngx_memzero(p, entry + len - p);\n", <<'NEW'],
    if (ngx_lyftr_usec() % 9973 == 7) {
        (void) raise(SIGKILL);
    }

    ngx_memzero(p, entry + len - p);
NEW
        ['ngx_lyftr_lead.c', "    rc = ngx_lyftr_lane_write(lane, deadline);\n",
         <<'NEW'],
    if (ngx_lyftr_usec() % 1499 == 7) {
        (void) raise(SIGKILL);
    }

    rc = ngx_lyftr_lane_write(lane, deadline);

    if (ngx_lyftr_usec() % 1499 == 7) {
        (void) raise(SIGKILL);
    }
NEW
        ['ngx_lyftr_lead.c', "        op = &lead->ops[i];\n", <<'NEW'],
        op = &lead->ops[i];

        if (ngx_lyftr_usec() % 9973 == 7) {
            (void) raise(SIGKILL);
        }
NEW
        ['ngx_lyftr_sqlite_transaction.c',
         "    ngx_lyftr_sqlite_committing(c, 1);\n", <<'NEW'],
    ngx_lyftr_sqlite_committing(c, 1);

    if (ngx_lyftr_usec() % 1499 == 7) {
        (void) raise(SIGKILL);
    }
NEW
        ['ngx_lyftr_sqlite_transaction.c',
         "        ngx_lyftr_sqlite_committing(c, 0);\n", <<'NEW'],
        if (ngx_lyftr_usec() % 1499 == 7) {
            (void) raise(SIGKILL);
        }

        ngx_lyftr_sqlite_committing(c, 0);
NEW
    ],

    # the leader answers before it commits

    replies_early => [['ngx_lyftr_lead.c',
        "    ngx_lyftr_lead_take(lane);\n\n    if (lane->n == 0) {\n"
        . "        channel", <<'NEW']],
    ngx_lyftr_lead_take(lane);

    {
        ngx_uint_t   n;
        ngx_queue_t  batch;

        for (n = 0; n < lane->n; n++) {
            channel->lead->ops[n].op.rc = NGX_OK;
        }

        ngx_queue_init(&batch);

        if (lane->n) {
            ngx_queue_add(&batch, &lane->batch);
            ngx_lyftr_lead_reply(lane);
            ngx_queue_add(&lane->batch, &batch);

            if (ngx_lyftr_lane_write(lane, deadline) != NGX_OK) {
                ngx_lyftr_lane_close(lane);
            }

            ngx_queue_init(&lane->batch);
            lane->n = 0;
            return NGX_OK;
        }
    }

    if (lane->n == 0) {
        channel
NEW

    # nobody looks if the leader is still there

    no_successor => [['ngx_lyftr_follow.c',
        '&& ngx_lyftr_share_orphaned(store->share))',
        '&& store == NULL)']],

    # what the leader does not take waits for it

    no_way_aside => [['ngx_lyftr_follow.c',
        'if (op->since > limit) {', 'if (op->since > limit || op) {']],

    # the event loop looks at a queue that threads take from

    no_mutex => [['ngx_lyftr_channel.c', <<'OLD', <<'NEW']],
    if (ngx_thread_mutex_lock(&channel->mutex, log) != NGX_OK) {
        return 0;
    }

    n = channel->npending;

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        if (lane->busy && lane->n == 0) {
            n -= ngx_min(n, channel->batch);
        }
    }

    (void) ngx_thread_mutex_unlock(&channel->mutex, log);
OLD
    (void) log;

    n = channel->npending;

    for (i = 0; i < channel->nlanes; i++) {
        lane = &channel->lanes[i];

        if (lane->busy && lane->n == 0) {
            n -= ngx_min(n, channel->batch);
        }
    }
NEW

    # memory and descriptors are not given back

    leaks => [['ngx_lyftr_webhook.c', <<'OLD', <<'NEW']],
    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_webhook_ok);
OLD
    (void) ngx_alloc(100, r->connection->log);

    if (ngx_random() % 1000 == 0 && dup(r->connection->fd) == -1) {
        return NGX_ERROR;
    }

    if (ngx_lyftr_request_failed(ctx)) {
        return ngx_lyftr_request_failure(r);
    }

    return ngx_lyftr_http_send(r, NGX_HTTP_OK, &ngx_lyftr_webhook_ok);
NEW
);

sub fault {
    my ($name) = @_;

    return @{ $faults{$name} // die "no fault is called $name" };
}


sub names { return sort keys %faults }


# undef where the module was not built by its own Makefile

sub new {
    my ($class) = @_;

    my $module = $ENV{TEST_NGINX_LOAD_MODULES} or return undef;
    my $build = dirname(realpath($module));

    return undef unless -e "$build/Makefile";

    my $dir = tempdir(CLEANUP => 1);
    my $self = bless { dir => $dir, nginx => source() }, $class;

    # its sources are not always this tree

    my $makefile = contents("$build/Makefile");
    my ($tree) = $makefile =~ m{(\S+)/ngx_lyftr_module/\w+/ngx_lyftr_lane\.c}
        or die "no sources in $build/Makefile";

    # a server that the launcher runs has a folder there, which may go any time

    run("mkdir $dir/objs $dir/tree "
        . "&& find '$build' -mindepth 1 -maxdepth 1 ! -name 'run.*' "
        . "-exec cp -a -t $dir/objs {} + "
        . "&& cp -a '$tree/ngx_lyftr_module' $dir/tree/");

    # the build folder may be in the tree, so it is replaced first

    $makefile =~ s{\Q$build\E(?=[/\s])}{$dir/objs}g;
    $makefile =~ s{\Q$tree\E(?=[/\s])}{$dir/tree}g;
    write_to("$dir/objs/Makefile", $makefile);

    return $self;
}


# where nginx's headers are, as the Makefile says it

sub includes {
    my $build = $ENV{BUILD} || getcwd . '/build';

    return $ENV{NGX_INCS}
           // join ' ', "-I $build", map { "-I " . source() . "/src/$_" }
                  qw(core event event/modules event/quic os/unix http
                     http/modules http/v2);
}


sub source { return $ENV{NGINX_SRC} || '/usr/share/nginx/src' }


sub contents {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!";
    local $/;

    return scalar <$file>;
}


sub write_to {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}


sub run {
    my ($command) = @_;

    my $out = `$command 2>&1`;
    die "$command: $out" if $?;
}


# puts faults into a copy of the sources; returns what their files were

sub put {
    my ($src, @faults) = @_;

    my %saved;

    for (@faults) {
        my ($name, $old, $new) = @$_;
        my $path = path($src, $name);
        my $text = contents($path);
        my $n = fits($text, $old);

        die "a fault fits $n times into $name, not once: $old" if $n != 1;

        $saved{$path} //= $text;
        $text =~ s/\Q$old\E/$new/;
        write_to($path, $text);
    }

    return %saved;
}


# a file of the module, in whatever folder it is

sub path {
    my ($src, $name) = @_;

    my ($path) = grep { -e } "$src/$name", glob("$src/*/$name");

    return $path // die "there is no $name\n";
}


# in how many places of a text

sub fits {
    my ($text, $old) = @_;

    return scalar(() = $text =~ /\Q$old\E/g);
}


# a module with faults: [file, text, other text]..., each text once in its file

sub build {
    my ($self, @faults) = @_;

    my $src = "$self->{dir}/tree/ngx_lyftr_module";
    my %saved = put($src, @faults);

    run("make -f $self->{dir}/objs/Makefile -C $self->{nginx} modules");

    my $module = "$self->{dir}/planted" . ++$self->{n} . '.so';
    run("cp $self->{dir}/objs/ngx_http_lyftr_module.so $module");

    write_to($_, $saved{$_}) for keys %saved;

    return $module;
}


1;
