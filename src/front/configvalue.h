/* configvalue.h - how a key of the configuration gets its value: between the files that read it.
 */
#pragma once
#include "front/config.h"
#include "front/yamldoc.h"

enum { CONFIG_TEXT = 4096 };

/* A key: what is public, and how its value gets into the struct. */
struct key {
    struct config_key public;
    void (*set)(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into);
    size_t offset;            /* in struct config, config_remote or config_guard */
    int64_t least, most;      /* of numbers, durations (ms) and sizes */
    const char *const *words; /* of a choice, in the order of its enum; ends with NULL */
};

/* true and false; a number from k->least to k->most, uint32_t; a size, uint64_t. */
void config_set_switch(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into);
void config_set_count(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into);
void config_set_size(struct yamldoc *d, const struct key *k, const yaml_node_t *value, void *into);

/* False, and an error told, when it is none or out of the key's bounds. */
bool config_duration(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                     int64_t *ms_out);

/* False, and an error told, when it is something else. */
bool config_is_map(struct yamldoc *d, const char *what, const yaml_node_t *value);
bool config_is_list(struct yamldoc *d, const char *what, const yaml_node_t *value);

/* Reads the pairs of a map into a struct by the table's keys of that section. */
void config_read_map(struct yamldoc *d, const char *section, const yaml_node_t *map, void *into);

/* The nearest of some words, or NULL when none is near. */
const char *config_nearest(struct str typed, const char *const *known, size_t n);
