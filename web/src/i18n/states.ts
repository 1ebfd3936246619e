// The words for states, and what each means. English, Chinese.

export const stateTexts = {
    "state.-": ["-", "-"],
    "state.ok": ["ok", "正常"],
    "state.steady": ["steady", "平稳"],
    "state.shrinking": ["shrinking", "下降"],
    "state.growing": ["growing", "增长"],
    "state.cache-bound": ["cache-bound", "缓存占满"],
    "state.high": ["high", "偏高"],
    "state.swapping": ["swapping", "换页中"],
    "state.stalled": ["stalled", "停滞"],
    "state.thrashing": ["thrashing", "颠簸"],
    "state.throttled": ["throttled", "被限速"],
    "state.oom-killed": ["OOM-killed", "被 OOM 杀死"],
    "state.at-limit": ["at limit", "到达上限"],
    "state.hung": ["hung", "挂起"],
    "stateHelp.-": ["nothing has been read yet", "尚未读到任何数值"],
    "stateHelp.ok": ["nothing bad; seen too shortly to say how it moves", "没有异常；观察时间太短，还不能判断走势"],
    "stateHelp.steady": ["what is used does not move in one direction", "已用内存没有朝一个方向变化"],
    "stateHelp.shrinking": ["what is used falls", "已用内存在下降"],
    "stateHelp.growing": [
        "the floor of what is used rises, and goes on rising: a reason to look, not yet a leak",
        "已用内存的低谷在上升并持续上升：值得查看，但还不能说是泄漏",
    ],
    "stateHelp.cache-bound": [
        "the limit is filled with page cache that the kernel drops when memory is needed: harmless unless it thrashes",
        "上限被页缓存占满；需要内存时内核会丢弃缓存：只要不颠簸就无害",
    ],
    "stateHelp.high": [
        "used is {high} % of the limit or more: little room for a peak",
        "已用达到上限的 {high} % 或更多：留给峰值的余量很小",
    ],
    "stateHelp.swapping": ["a large part of the swap it may use is used", "可用的交换空间已用去很大一部分"],
    "stateHelp.stalled": [
        "for a tenth of the last 10 s or more all of its tasks waited for memory",
        "最近 10 秒中至少十分之一的时间里，所有任务都在等待内存",
    ],
    "stateHelp.thrashing": [
        "it reads back what was just reclaimed and waits for it: its limit is too small for its working set",
        "刚被回收的页又被读回，任务在等待：上限小于它的工作集",
    ],
    "stateHelp.throttled": [
        "used is at memory.high: the kernel slows it down to a crawl",
        "已用到达 memory.high：内核把它放慢到几乎停顿",
    ],
    "stateHelp.oom-killed": [
        "the kernel killed in it for memory within the last 10 minutes: its limit is too small, or it leaks",
        "最近 10 分钟内，内核因内存不足杀死过其中的进程：上限太小，或者有泄漏",
    ],
    "stateHelp.at-limit": [
        "used is {alert} % of the limit or more: the next step is a kill",
        "已用达到上限的 {alert} % 或更多：下一步就是被杀死",
    ],
    "stateHelp.hung": [
        "it hangs at its limit: its tasks wait for memory that nobody will free, or only read back what was just taken",
        "它在上限处挂起：任务在等待没有人会释放的内存，或只是反复读回刚被回收的内容",
    ],
} as const;
