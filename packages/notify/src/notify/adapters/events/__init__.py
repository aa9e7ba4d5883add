"""What providers report about messages that they took: verified, and brought into one form."""

from .common import Incoming, Refused, Report, Reporter
from .mailgun import MailgunReporter
from .sendgrid import SendGridReporter
from .sns import SNSReporter
from .twilio import TwilioReporter

__all__ = [
    "Incoming",
    "MailgunReporter",
    "Refused",
    "Report",
    "Reporter",
    "SNSReporter",
    "SendGridReporter",
    "TwilioReporter",
]
