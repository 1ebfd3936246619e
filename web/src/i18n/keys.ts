// What keys do. English, Chinese. {words} are filled in.

export const keysTexts = {
    "keys.help": ["this help", "本帮助"],
    "keys.pause": ["hold this moment, or go on", "暂停在此刻，或继续"],
    "keys.back": ["a bit into the past", "向过去移动一点"],
    "keys.forward": ["a bit towards now", "向现在移动一点"],
    "keys.backWindow": ["a whole window into the past", "向过去移动一整个窗口"],
    "keys.forwardWindow": ["a whole window towards now", "向现在移动一整个窗口"],
    "keys.zoomIn": ["shorter window", "缩短时间窗口"],
    "keys.zoomOut": ["longer window", "加长时间窗口"],
    "keys.now": ["back to now", "回到现在"],
    "keys.timeline": ["timeline of events", "事件时间线"],
    "keys.overview": ["overview", "总览"],
    "keys.filter": ["filter the list (Esc leaves it)", "筛选列表（Esc 离开）"],
    "keys.down": ["next line", "下一行"],
    "keys.up": ["line before", "上一行"],
    "keys.open": ["open the selected one", "打开所选项"],
    "keys.sort": ["sort by the next column", "按下一列排序"],
    "keys.reverse": ["turn the order round", "反转顺序"],
    "keys.first": ["first line", "第一行"],
    "keys.last": ["last line", "最后一行"],
    "keys.group": ["group: pod, compose, parent, none", "分组：Pod、Compose、上级、不分组"],
} as const;
