<?php
declare(strict_types=1);
require __DIR__ . '/../notes.php';

$problem = null;
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    try {
        add_note($_POST['text'] ?? '', $_FILES['attachment'] ?? null);
        header('Location: /', response_code: 303);
        exit;
    } catch (RuntimeException $error) {
        http_response_code(422);
        $problem = $error->getMessage();
    }
}
$notes = database()->query('SELECT id, written, text, attachment FROM notes ORDER BY id DESC LIMIT 200');
?>
<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title><?= text_of(site_name()) ?></title>
    <link rel="stylesheet" href="/style.css">
</head>
<body>
    <h1><?= text_of(site_name()) ?></h1>
    <form method="post" enctype="multipart/form-data">
        <label for="text">Write a note</label>
        <textarea id="text" name="text" rows="3" required></textarea>
        <input type="file" name="attachment" aria-label="Attachment">
        <button>Keep it</button>
        <?php if ($problem !== null): ?><p role="alert"><?= text_of($problem) ?></p><?php endif ?>
    </form>
    <?php foreach ($notes as $note): ?>
    <article>
        <p><?= nl2br(text_of($note['text'])) ?></p>
        <footer>
            <time><?= text_of($note['written']) ?> UTC</time>
            <?php if ($note['attachment'] !== null): ?>
            <a href="/attachment.php?note=<?= (int) $note['id'] ?>"><?= text_of($note['attachment']) ?></a>
            <?php endif ?>
        </footer>
    </article>
    <?php endforeach ?>
</body>
</html>
