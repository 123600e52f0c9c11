"""Which names of the standard library and of well-known packages give which power."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tinybase.packages.inspection.findings import Power

_NAMES: Final[Mapping[Power, str]] = {
    Power.PROCESSES: """
        subprocess os.system os.popen os.startfile os.execl os.execle os.execlp os.execlpe
        os.execv os.execve os.execvp os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe
        os.spawnv os.spawnve os.spawnvp os.spawnvpe os.posix_spawn os.posix_spawnp os.fork
        os.forkpty os.kill os.killpg posix.system posix.execv posix.execve posix.fork
        _posixsubprocess pty multiprocessing concurrent.futures.ProcessPoolExecutor
        concurrent.futures.process asyncio.create_subprocess_exec
        asyncio.create_subprocess_shell asyncio.subprocess.create_subprocess_exec
        asyncio.subprocess.create_subprocess_shell commands sh pexpect plumbum psutil.Popen
        webbrowser""",
    Power.NETWORK: """
        socket _socket ssl socketserver http.client http.server urllib.request
        urllib.robotparser urllib3 requests requests_toolbelt httpx httpcore aiohttp httplib2
        pycurl treq smtplib aiosmtplib ftplib poplib imaplib nntplib telnetlib xmlrpc.client
        xmlrpc.server websockets websocket wsproto socketio grpc zmq paramiko fabric asyncssh
        boto3 botocore aiobotocore google.cloud azure redis valkey pymongo motor psycopg psycopg2
        asyncpg aiomysql pymysql MySQLdb mysql.connector elasticsearch opensearchpy kafka
        confluent_kafka pika aio_pika nats paho kombu celery twilio sendgrid stripe slack_sdk
        telegram openai anthropic sentry_sdk asyncio.open_connection asyncio.start_server
        asyncio.open_unix_connection asyncio.start_unix_server logging.handlers.SocketHandler
        logging.handlers.HTTPHandler logging.handlers.SMTPHandler
        logging.handlers.SysLogHandler""",
    Power.NATIVE: "ctypes _ctypes cffi _cffi_backend",
    Power.CODE: """
        builtins.eval builtins.exec builtins.compile runpy code.InteractiveInterpreter
        code.InteractiveConsole code.interact codeop importlib.util.spec_from_file_location
        importlib.util.module_from_spec importlib.machinery.SourceFileLoader
        importlib.machinery.ExtensionFileLoader imp zipimport types.FunctionType types.CodeType
        pip ensurepip""",
    Power.UNPICKLING: """
        pickle.load pickle.loads pickle.Unpickler _pickle.load _pickle.loads _pickle.Unpickler
        cPickle marshal.load marshal.loads shelve dill.load dill.loads cloudpickle.load
        cloudpickle.loads joblib.load jsonpickle.decode yaml.unsafe_load yaml.unsafe_load_all
        yaml.UnsafeLoader torch.load numpy.load pandas.read_pickle""",
    Power.FILES: """
        shutil.copy shutil.copy2 shutil.copyfile shutil.copyfileobj shutil.copymode
        shutil.copystat shutil.copytree shutil.move shutil.rmtree shutil.chown
        shutil.make_archive shutil.unpack_archive os.remove os.unlink os.rename os.renames
        os.replace os.rmdir os.removedirs os.mkdir os.makedirs os.truncate os.ftruncate os.link
        os.symlink os.chmod os.lchmod os.fchmod os.chown os.lchown os.fchown os.mkfifo os.mknod
        os.utime os.chroot pathlib.Path.rename pathlib.Path.replace pathlib.Path.chmod
        pathlib.Path.touch tempfile sqlite3.connect dbm logging.FileHandler
        logging.handlers.RotatingFileHandler logging.handlers.TimedRotatingFileHandler
        logging.handlers.WatchedFileHandler fileinput.input mmap.mmap""",
    Power.INTERNALS: """
        sys.path sys.meta_path sys.path_hooks sys.settrace sys.setprofile sys.addaudithook
        sys.setrecursionlimit sys.setswitchinterval threading.settrace threading.setprofile
        sys.modules.pop sys.modules.update sys.modules.setdefault sys.modules.clear
        os.environ.update os.environ.setdefault os.environ.pop os.environ.clear os.putenv
        os.unsetenv os.chdir os.fchdir os.umask os.setuid os.setgid gc.get_objects
        gc.get_referrers gc.disable sys._getframe sys._current_frames logging.disable
        unittest.mock wrapt.wrap_function_wrapper gevent.monkey eventlet.monkey_patch
        site.addsitedir warnings.simplefilter warnings.filterwarnings locale.setlocale
        socket.setdefaulttimeout resource.setrlimit importlib.reload""",
    Power.LIFE: """
        threading.Thread threading.Timer _thread concurrent.futures.ThreadPoolExecutor
        concurrent.futures.thread multiprocessing.dummy signal.signal signal.setitimer
        signal.alarm signal.raise_signal signal.pthread_kill signal.pthread_sigmask
        signal.set_wakeup_fd atexit os._exit os.abort sys.exit builtins.exit builtins.quit
        builtins.SystemExit faulthandler asyncio.run
        asyncio.new_event_loop asyncio.to_thread sched apscheduler schedule.every""",
}

# What the table would cover and what does nothing by itself.
_HARMLESS: Final = """
    subprocess.CalledProcessError subprocess.SubprocessError subprocess.TimeoutExpired
    subprocess.CompletedProcess subprocess.PIPE subprocess.STDOUT subprocess.DEVNULL
    multiprocessing.cpu_count multiprocessing.current_process socket.error socket.timeout
    socket.gaierror socket.herror socket.gethostname ssl.SSLError requests.exceptions
    requests.RequestException requests.HTTPError requests.ConnectionError requests.Timeout
    requests.Response httpx.HTTPError httpx.HTTPStatusError httpx.RequestError httpx.Response
    httpx.TimeoutException urllib3.exceptions aiohttp.ClientError aiohttp.ClientResponse
    smtplib.SMTPException http.client.HTTPException redis.exceptions redis.RedisError
    tempfile.gettempdir atexit.unregister psycopg.Error"""

_POWER_OF: Final[Mapping[str, Power | None]] = {
    **{name: power for power, names in _NAMES.items() for name in names.split()},
    **dict.fromkeys(_HARMLESS.split()),
}

RISKY_MODULES: Final = frozenset(
    {"builtins", "importlib", "os", "posix", "sys"}
    | {name for name, power in _POWER_OF.items() if power and "." not in name}
)
"""Modules of which something that is looked up by a computed name may be anything."""


def power_of(name: str) -> tuple[Power, str] | None:
    """Return the power that a dotted name gives, and the entry of the table that says so.

    The longest entry that is the name or what it is a part of decides. What is done with
    an object counts only for connections: the line that makes a thread says enough.
    """
    made, call, _ = name.partition("()")
    plain = name.replace("()", "")
    while plain and plain not in _POWER_OF:
        plain = plain.rpartition(".")[0]
    power = _POWER_OF.get(plain)
    if power is None or (call and len(plain) <= len(made) and power is not Power.NETWORK):
        return None
    return power, plain.removeprefix("builtins.")
