#include "model/procfield.h"

const struct proc_number proc_numbers[PROC_NUMBERS] = {
    {"threads", PROC_THREADS}, {"fds", PROC_FDS},           {"virt", PROC_VIRT},
    {"res", PROC_RES},         {"shr", PROC_SHR},           {"data", PROC_DATA},
    {"code", PROC_CODE},       {"swap", PROC_SWAP},         {"anon", PROC_ANON},
    {"file", PROC_FILE},       {"shmem", PROC_SHMEM},       {"pss", PROC_PSS},
    {"uss", PROC_USS},         {"lazyfree", PROC_LAZYFREE},
};
