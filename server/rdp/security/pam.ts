/**
 * The host's users, by PAM: VirtualBox's VBoxAuth. A helper of Python's standard library and libpam asks for each attempt, in a
 * process of its own: modules may take their time, and one that crashes takes nothing with it.
 * Source: The Linux-PAM Application Developers' Guide (pam_start, pam_conv, pam_authenticate, pam_acct_mgmt).
 * Not modelled: sessions, changing a password that has expired: who has to is refused.
 */
import { CodedError } from '#base/errors.ts';
import { askProgram, checkByProgram, type PasswordCheck } from './users.ts';

export interface PamParts {
  /** A file of /etc/pam.d. */
  readonly service: string;
  readonly timeoutMs: number;
  /** What runs the helper. */
  readonly python?: string;
}

/** Exit statuses of the helper; others mean no. */
const STATUS = { yes: 0, cannotAsk: 2 } as const;

/**
 * Arguments: the service; `probe` only says whether libpam is there. Standard input: three lines as for any program that is
 * asked (`checkByProgram`). The password is nowhere else.
 */
const HELPER = `
import ctypes, sys
try:
    pam = ctypes.CDLL('libpam.so.0')
    libc = ctypes.CDLL(None)
except OSError:
    sys.exit(2)
if sys.argv[1:] == ['probe']:
    sys.exit(0)
PROMPT_ECHO_OFF, PROMPT_ECHO_ON, CONV_ERROR, BUFFER_ERROR = 1, 2, 19, 5
SILENT, DISALLOW_NULL = 0x8000, 0x1
class Message(ctypes.Structure):
    _fields_ = [('style', ctypes.c_int), ('text', ctypes.c_char_p)]
class Response(ctypes.Structure):
    _fields_ = [('text', ctypes.c_void_p), ('status', ctypes.c_int)]
Messages = ctypes.POINTER(ctypes.POINTER(Message))
Responses = ctypes.POINTER(ctypes.POINTER(Response))
Function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, Messages, Responses, ctypes.c_void_p)
class Conversation(ctypes.Structure):
    _fields_ = [('function', Function), ('data', ctypes.c_void_p)]
libc.calloc.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
libc.strdup.restype = ctypes.c_void_p
libc.strdup.argtypes = [ctypes.c_char_p]
user, domain, password = (sys.stdin.buffer.readline().rstrip(b'\\n') for _ in range(3))
def converse(count, messages, answers, data):
    # The caller frees what it is given.
    block = libc.calloc(count, ctypes.sizeof(Response))
    if not block:
        return BUFFER_ERROR
    given = ctypes.cast(block, ctypes.POINTER(Response))
    for i in range(count):
        style = messages[i].contents.style
        if style == PROMPT_ECHO_OFF:
            given[i].text = libc.strdup(password)
        elif style == PROMPT_ECHO_ON:
            given[i].text = libc.strdup(user)
    answers[0] = given
    return 0
conversation = Conversation(Function(converse), None)
handle = ctypes.c_void_p()
start = pam.pam_start
start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Conversation), ctypes.POINTER(ctypes.c_void_p)]
for one in (pam.pam_authenticate, pam.pam_acct_mgmt, pam.pam_end):
    one.argtypes = [ctypes.c_void_p, ctypes.c_int]
if not user or start(sys.argv[1].encode(), user, ctypes.byref(conversation), ctypes.byref(handle)) != 0:
    sys.exit(1)
status = pam.pam_authenticate(handle, SILENT | DISALLOW_NULL)
if status == 0:
    status = pam.pam_acct_mgmt(handle, SILENT | DISALLOW_NULL)
pam.pam_end(handle, status)
sys.exit(0 if status == 0 else 1)
`;

/** Isolated: neither the working directory nor the environment says what is imported. */
const helper = (...args: readonly string[]): string[] => ['-I', '-c', HELPER, ...args];

/** @throws CodedError<'no-pam'> when nobody can be asked here */
export async function checkByPam({ service, timeoutMs, python = 'python3' }: PamParts): Promise<PasswordCheck> {
  if (!/^[\w.-]+$/.test(service)) {
    throw new CodedError('no-pam', `'${service}' is no name of a PAM service: name a file of /etc/pam.d`);
  }
  const status = await askProgram(python, helper('probe'), '', timeoutMs);
  if (status !== STATUS.yes) {
    const what = status === STATUS.cannotAsk ? 'libpam.so.0 (Debian: libpam0g)' : `${python} (Debian: python3)`;
    throw new CodedError('no-pam', `VBoxAuth asks PAM with the help of ${what}, which is not here: install it`);
  }
  return checkByProgram(python, timeoutMs, helper(service));
}
