"""Explanations of occurrences in Romanian; `{…}` are filled in."""

from ordinaut.v1.explanation_pb2 import Hindrance

PHRASES = {
    "NOTHING_DUE": "Nimic nu era programat la {moment}.",
    "NOTHING_COMES": "Nimic nu este programat la {moment}.",
    "NO_TIMES": "Programul nu are ore; sarcina este pornită de evenimente sau de oameni.",
    "UNKNOWN": "Ce spune programul despre {moment} nu se poate afla, pentru că niciun planificator nu răspunde.",
    "UPCOMING": "Sarcina este programată la {moment}.",
    "LATE": "Sarcina era programată la {moment}; întârzie cu {late}.",
    "QUEUED": "Ce era programat la {moment} a devenit {run}, care așteaptă la rând din {since}.",
    "RUNNING": "Ce era programat la {moment} a devenit {run}, care este {state} și a început la {start}.",
    "ENDED": "Ce era programat la {moment} a devenit {run}, care s-a încheiat {state} la {end}{error}.",
    "FORGOTTEN": "Ce era programat la {moment} a devenit {run}, care nu se mai păstrează.",
    "ITS_RUN": "Rularea sa: {run} ({state}).",
    "SKIPPED_OVERLAP": "Ce era programat la {moment} nu a rulat, pentru că o altă rulare a sarcinii era în curs.",
    "COALESCED": "Ce era programat la {moment} a fost ratat, ca și un moment ulterior, care îi ține locul{successor}.",
    "MISSED": "Ce era programat la {moment} a fost ratat: {reason}.",
    "PAUSED": "Ce era programat la {moment} nu a rulat, pentru că sarcina era în pauză.",
    "EXCLUDED": "Ce era programat la {moment} nu a rulat, pentru că ziua este exclusă.",
    "SKIPPED": "Ce este programat la {moment} a fost anulat de cineva: {reason}.",
    "EXCLUDED_AHEAD": "Nu va rula, pentru că ziua este exclusă.",
    "BEFORE": "Înainte de aceasta programul spune {before}{outcome}.",
    "AFTER": "După aceea programul spune {after}.",
    "THE_END": "După aceea programul nu mai spune nimic.",
    "STOOD_FOR": " (cel din {successor}: {outcome})",
    "OUTCOME": " ({outcome})",
}
OBSTACLES = {
    Hindrance.NO_SCHEDULER: "niciun planificator nu răspunde",
    Hindrance.CATCHING_UP: "planificatoarele au rămas în urmă și recuperează",
    Hindrance.TASK_PAUSED: "sarcina este în pauză din {time}{reason}",
    Hindrance.LIVE_RUN: "{resource} era în curs",
    Hindrance.LATER_START: "urmează să înceapă la {time}",
    Hindrance.QUEUE: "înaintea ei sunt {number} rulări gata de preluat",
    Hindrance.NO_WORKER: "niciun executant nu este activ",
    Hindrance.NO_ENGINE: "niciun motor de pipeline nu răspunde",
    Hindrance.BUSY: "nimic nu este înaintea ei; executanții nu au încă loc pentru ea",
    Hindrance.BUFFERED_RUN: "își așteaptă rândul după {resource}",
    Hindrance.OTHER_SCHEDULE: "sarcina nu exista încă sau avea alt program",
}
REASONS = {
    r"missed ones are not caught up": "momentele ratate nu se recuperează",
    r"only the newest (\d+) are caught up": r"se recuperează numai cele mai noi \1",
    r"too late to be caught up": "este prea târziu pentru recuperare",
    r"its run had not started by the deadline": "rularea nu începuse până la termenul limită",
    r"the task was (paused|completed|deleted) before it was caught up": "sarcina s-a oprit înainte de recuperare",
    r"it was skipped": "a fost sărit",
}
