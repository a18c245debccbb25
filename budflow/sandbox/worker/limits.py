"""What the worker holds itself and an author's code to; those of the protocol are those of `budflow.sandbox.messages`.

They stand here again because the worker cannot import pydantic; a test compares them.
"""

PROTOCOL_VERSION = 1
FRAME_BYTES_MAX = 4 * 1024 * 1024
PART_BYTES = 256 * 1024
SHORT_MAX = 200
TEXT_MAX = 65_536
MESSAGE_MAX = 4_096
TRACEBACK_MAX = 50

#: Without a sign of life of the other side for this many of its heartbeats the worker ends.
HEARTBEATS_MISSED_MAX = 3
CONNECT_SECONDS_MAX = 10.0
GOODBYE_SECONDS_MAX = 1.0
#: How long the nursery may take to end every process of a task before it counts as broken.
CLEANING_SECONDS_MAX = 2.0
#: How long a child that closed its socket may take to end by itself.
ENDING_SECONDS_MAX = 0.5
#: What waits for the broker before the worker stops to read what the code sends.
UNSENT_BYTES_MAX = 1024 * 1024

#: One item, so that a frame has place for what is around it.
ITEM_BYTES_MAX = FRAME_BYTES_MAX - 64 * 1024
RESULT_BYTES_MAX = 64 * 1024 * 1024
NESTING_MAX = 64
INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1

#: A line in one packet, whatever its characters are; a longer one that is printed becomes several.
LOG_CHARACTERS_MAX = 16_384
LOG_LINES_MAX = 2_000
LOG_BYTES_MAX = 1024 * 1024
LOG_FIELDS_BYTES_MAX = 16 * 1024
PROGRESS_SECONDS_MIN = 0.1

#: Failed items after these many have no traceback.
TRACEBACKS_MAX = 100

OPEN_FILES_MAX = 256
THREAD_STACK_BYTES = 2 * 1024 * 1024
#: With which a process ends that has not even the memory to say that it has none.
OUT_OF_MEMORY_STATUS = 87
