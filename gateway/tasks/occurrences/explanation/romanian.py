"""Templates of explanations in Romanian."""

from ordinaut.v1.explanation_pb2 import Hindrance

PHRASES = {
    "NOTHING_DUE": "Nimic nu era programat la {instant}.",
    "NOTHING_UPCOMING": "Nimic nu este programat la {instant}.",
    "NO_TIMES": "Sarcina este pornită de evenimente sau manual; programul ei nu definește ore.",
    "UNKNOWN": "Nu se știe dacă ceva este programat la {instant}, pentru că planificatorul nu este disponibil.",
    "UPCOMING": "Sarcina este programată la {instant}.",
    "LATE": "Sarcina era programată la {instant} și întârzie cu {late}.",
    "QUEUED": "Ocurența programată la {instant} a devenit {run}, care așteaptă în coadă din {since}.",
    "RUNNING": "Ocurența programată la {instant} a devenit {run}, care este {state} și a început la {start}.",
    "ENDED": "Ocurența programată la {instant} a devenit {run}, care s-a încheiat ca {state} la {end}{error}.",
    "RUN_DELETED": "Ocurența programată la {instant} a devenit {run}, care a fost ștearsă.",
    "RUN": "Rularea sa: {run} ({state}).",
    "SKIPPED_OVERLAP": "Ocurența programată la {instant} nu a rulat, pentru că o altă rulare a sarcinii era în curs.",
    "BACKPRESSURE": (
        "Ocurența programată la {instant} nu a rulat, pentru că proprietarul sarcinii sau proiectul avea atâtea rulări "
        "în curs câte permite cota."
    ),
    "COALESCED": "Ocurența programată la {instant} a fost ratată și înlocuită de una ulterioară{successor}.",
    "MISSED": "Ocurența programată la {instant} a fost ratată: {reason}.",
    "PAUSED": "Ocurența programată la {instant} nu a rulat, pentru că {reason}.",
    "EXCLUDED": "Ocurența programată la {instant} nu a rulat, pentru că ziua este exclusă.",
    "SKIPPED": "Ocurența programată la {instant} a fost anulată: {reason}.",
    "EXCLUDED_AHEAD": "Nu va rula, pentru că ziua este exclusă.",
    "CLOCKS_SKIP": "Ceasurile din {zone} sar de la {before} la {after} pe {day}, deci orele dintre ele nu există.",
    "CLOCKS_REPEAT": "Ceasurile din {zone} revin de la {before} la {after} pe {day}, deci orele dintre ele se repetă.",
    "MOVED": "Ocurența de la {nominal} este mutată la {time}.",
    "BEFORE": "Ora anterioară din program este {before}{outcome}.",
    "AFTER": "Următoarea oră din program este {after}.",
    "NO_LATER_TIME": "Programul se încheie după aceea.",
    "SUCCESSOR": " (programată la {successor}, rezultat {outcome})",
    "OUTCOME": " ({outcome})",
}
OBSTACLES = {
    Hindrance.NO_SCHEDULER: "planificatorul nu este disponibil",
    Hindrance.CATCHING_UP: "planificatoarele au întârziat și recuperează",
    Hindrance.TASK_PAUSED: "sarcina este în pauză din {time}{reason}",
    Hindrance.LIVE_RUN: "{resource} era în curs",
    Hindrance.LATER_START: "va începe la {time}",
    Hindrance.QUEUE: "în coadă sunt {number} rulări pregătite înaintea ei",
    Hindrance.NO_WORKER: "niciun executant nu este pornit",
    Hindrance.NO_ENGINE: "motorul de pipeline nu este disponibil",
    Hindrance.BUSY: "este prima în coadă, dar toți executanții sunt ocupați",
    Hindrance.BUFFERED_RUN: "așteaptă până când se încheie {resource}",
    Hindrance.OTHER_SCHEDULE: "sarcina nu exista încă sau avea alt program",
    Hindrance.TRIGGER_DISABLED: "declanșatorul {resource} este dezactivat din {time} (CONDITION_OVER_BUDGET), fiindcă "
    "condiția lui a folosit prea mult timp de procesor; evenimentele lui se păstrează până când o modificare a "
    "sarcinii sau ResumeTask îl activează",
}
REASONS = {
    r"missed ones are not caught up": "ocurențele ratate nu se recuperează",
    r"only the newest (\d+) are caught up": r"se recuperează numai cele mai noi \1",
    r"too late to be caught up": "este prea târziu pentru recuperare",
    r"its run had not started by the deadline": "rularea nu începuse până la termenul limită",
    r"the task was paused": "sarcina era în pauză",
    r"the task was (paused|completed|deleted) before it was caught up": "sarcina s-a oprit înainte de recuperare",
    r"it was skipped": "a fost sărită",
}
