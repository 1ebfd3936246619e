/* statsfields.h - the fields of `stats --format`: Docker's, with Docker's meaning, and ours.
 */
#pragma once
#include "cmd/statsrow.h"

/* Docker's first. */
enum {
    FIELD_CONTAINER,
    FIELD_NAME,
    FIELD_ID,
    FIELD_CPU_PERC,
    FIELD_MEM_USAGE,
    FIELD_NET_IO,
    FIELD_BLOCK_IO,
    FIELD_MEM_PERC,
    FIELD_PIDS,
    FIELD_DOCKER_N,
    FIELD_IMAGE = FIELD_DOCKER_N,
    FIELD_POD,
    FIELD_RUNTIME,
    FIELD_CGROUP,
    FIELD_USED_PERC,
    FIELD_LIMIT_FROM,
    FIELD_PSI,
    FIELD_OOM,
    FIELD_USED,
    FIELD_LIMIT,
    FIELD_HEADROOM,
    FIELD_USAGE,
    FIELD_WORKING_SET,
    FIELD_PEAK,
    FIELD_ANON,
    FIELD_FILE,
    FIELD_SHMEM,
    FIELD_KERNEL,
    FIELD_SLAB,
    FIELD_SWAP,
    FIELD_HIGH,
    FIELD_N,
};

/* Their names in a template, and the heads of their columns. */
extern const char *const stats_fields[];
extern const size_t stats_fields_n;
extern const char *const stats_field_heads[];

/* A field's text, raw: made visible by the caller. */
void stats_add_field(struct buf *out, const struct stats_row *r, int field);

/* What the sampler has to read for it: TICK_ bits. */
unsigned stats_field_wants(int field);

/* Docker's own JSON of a row: strings as its table has them. */
void stats_add_docker_json(struct buf *out, const struct stats_row *r);
