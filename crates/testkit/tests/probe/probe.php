<?php
// Tells a test what a process of the appliance sees and may do. Never part of an appliance that is shipped.
declare(strict_types=1);
header('Content-Type: application/json');

function attempt_to_write(string $path): string
{
    error_clear_last();
    return @file_put_contents($path, 'x') === false ? (error_get_last()['message'] ?? 'refused') : 'written';
}

if (isset($_GET['listen'])) {
    $port = (int) $_GET['listen'];
    $server = stream_socket_server("tcp://0.0.0.0:$port", $code, $why);
    $self = stream_socket_client("tcp://127.0.0.1:$port", $code, $why, 5.0);
    $inside = stream_socket_accept($server, 5.0) !== false;
    $outside = @stream_socket_accept($server, 12.0) !== false;
    exit(json_encode(['inside' => $inside, 'outside' => $outside]));
}
if (isset($_GET['write'])) {
    exit(json_encode(['outcome' => attempt_to_write($_GET['write'])]));
}
echo json_encode([
    'machine_id' => trim((string) file_get_contents('/etc/machine-id')),
    'mounts' => file('/proc/self/mounts', FILE_IGNORE_NEW_LINES),
    'exists' => isset($_GET['exists']) ? file_exists($_GET['exists']) : null,
]);
