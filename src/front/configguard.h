/* configguard.h - `guards:` of the configuration: each a pattern for targets and a policy.
 */
#pragma once
#include "front/configvalue.h"

/* For the table of keys. `into` is a struct config for the first, a struct config_guard for the
 * others. */
void config_set_guards(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                       void *into);
void config_set_guard_name(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into);
void config_set_guard_glob(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into); /* k->least: which, enum guardmatch_field */
void config_set_guard_labels(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                             void *into);
void config_set_guard_marks(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                            void *into);
void config_set_guard_actions(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                              void *into);
void config_set_guard_duration(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                               void *into);
void config_set_guard_go_limit(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                               void *into);
void config_set_guard_hook(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                           void *into);
void config_set_guard_texts(struct yamldoc *d, const struct key *k, const yaml_node_t *value,
                            void *into);
