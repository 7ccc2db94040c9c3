"""Speed and agreement, measured side by side with other graders and libraries; not part of the tests."""
