#include "cmd/topproc.h"

void topproc_take(const struct procs *p, const struct proc_row *row, struct tui_process *out) {
    *out = (struct tui_process){
        .pid = row->pid,
        .ppid = row->ppid,
        .have = row->have,
        .pss_estimated = row->pss_estimated,
        .comm = procs_comm(row),
        .command = procs_text(p, row->command),
    };
    out->value[PROC_PPID] = (uint64_t)row->ppid;
    out->value[PROC_UID] = row->uid;
    out->value[PROC_STATE] = (uint8_t)row->state;
    out->value[PROC_START] = (uint64_t)row->start_ms;
    out->value[PROC_OOM_SCORE] = (uint64_t)row->oom_score;
    for (size_t i = 0; i < PROC_NUMBERS; i++)
        (void)proc_value(row, proc_numbers[i].field, &out->value[proc_numbers[i].field]);
}
