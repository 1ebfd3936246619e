// Help: words and definitions. English, Chinese. {words} are filled in.

export const helpTexts = {
    "help.title": ["Keys and words", "按键与术语"],
    "help.close": ["Close", "关闭"],
    "help.keys": ["Keys", "按键"],
    "help.states": ["States", "状态"],
    "help.statesText": ["The worst that holds is shown.", "显示成立的状态中最坏的一个。"],
    "help.bar": ["The bar", "上限条"],
    "help.barText": [
        "Its length is the limit. Solid: used, what stays when the kernel has reclaimed all it can. Hatched: what can be reclaimed, mostly page cache. The line with the ring marks {alert} % of the limit, a dashed line memory.high.",
        "条的全长是上限。实心：已用，即内核尽力回收之后仍会留下的部分。斜线：可回收的部分，主要是页缓存。带圆环的线标出上限的 {alert} %，虚线是 memory.high。",
    ],
    "help.numbers": ["Numbers", "数值"],
    "help.search": ["Search", "搜索"],
    "help.none": ["No number is called that.", "没有这样的数值。"],
    "help.units": [
        "K, M, G are powers of 1024. A dash is a value that is not known; it is never 0.",
        "K、M、G 是 1024 的幂。短横线表示数值未知，绝不是 0。",
    ],
} as const;
